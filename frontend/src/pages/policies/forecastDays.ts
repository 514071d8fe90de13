/** How far the console looks ahead. */
export const FORECAST_DAYS = 14;
