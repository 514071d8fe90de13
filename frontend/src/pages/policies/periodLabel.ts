import type { Frequency } from "../../api/generated";

const FORMAT: Partial<Record<Frequency, Intl.DateTimeFormatOptions>> = {
  DAILY: { weekday: "short", day: "numeric", month: "short" },
  WEEKLY: { day: "numeric", month: "short" },
  MONTHLY: { month: "short", year: "2-digit" },
};

/** A period's name under its bar: `Mon 23 Nov`, `from 23 Nov`, `Nov 26`. */
export function periodLabel(entry: { readonly start: string }, period: Frequency): string {
  const text = new Intl.DateTimeFormat("en-GB", { ...FORMAT[period], timeZone: "UTC" }).format(new Date(entry.start)).replace(",", "");
  return period === "WEEKLY" ? `from ${text}` : text;
}
