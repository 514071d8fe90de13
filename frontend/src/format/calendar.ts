import type { Frequency, Leg, Ordinal, PeriodUnit, Weekday } from "../api/generated";
import { count, list } from "./text";

export const WEEKDAYS: readonly Weekday[] = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
export const WORKDAYS = WEEKDAYS.slice(0, 5);
const WEEKEND = WEEKDAYS.slice(5);
export const ORDINALS: readonly Ordinal[] = ["FIRST", "SECOND", "THIRD", "FOURTH", "LAST"];
export const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
] as const;
/** Most frequent first. */
export const FREQUENCIES: readonly Frequency[] = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"];
/** The last day of every month, as the server takes it: shorter months have no day 31. */
export const LAST_DAY = 31;

/** `Monday`; short: `Mon`. */
export function dayName(day: Weekday, short = false): string {
  const name = day.charAt(0) + day.slice(1).toLowerCase();
  return short ? name.slice(0, 3) : name;
}

/** 1 → `January`; short: `Jan`. */
export function monthName(month: number, short = false): string {
  const name: string = MONTHS[month - 1] ?? String(month);
  return short ? name.slice(0, 3) : name;
}

/** 9 → `09:00`. */
export function hourName(hour: number): string {
  return `${String(hour).padStart(2, "0")}:00`;
}

/** Minutes of the day → `09:05`. */
export function minuteName(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
}

/** `09:05` → 545; null when it is no time of day. */
export function minutesOf(text: string): number | null {
  const found = /^(\d{1,2}):(\d{2})$/.exec(text.trim());
  if (!found) return null;
  const minutes = Number(found[1]) * 60 + Number(found[2]);
  return Number(found[2]) < 60 && minutes < 24 * 60 ? minutes : null;
}

/** `every day`, `Monday to Friday`, `on weekends`, `on Mondays`, `on Mon, Wed and Fri`. */
export function daysPhrase(days: readonly Weekday[]): string {
  const chosen = WEEKDAYS.filter((day) => days.includes(day));
  if (chosen.length === 7) return "every day";
  if (chosen.length === 0) return "on no day";
  if (same(chosen, WORKDAYS)) return "Monday to Friday";
  if (same(chosen, WEEKEND)) return "on weekends";
  if (chosen.length === 1) return `on ${dayName(chosen[0]!)}s`;
  return `on ${list(chosen.map((day) => dayName(day, true)))}`;
}

/** `every month`, `in January`, `in Jan, Apr and Jul`. */
export function monthsPhrase(months: readonly number[]): string {
  const chosen = [...new Set(months)].sort((left, right) => left - right);
  if (chosen.length === 12) return "every month";
  if (chosen.length === 0) return "in no month";
  if (chosen.length === 1) return `in ${monthName(chosen[0]!)}`;
  return `in ${list(chosen.map((month) => monthName(month, true)))}`;
}

/** `FIRST` → `First`. */
export function ordinalName(ordinal: Ordinal): string {
  return ordinal.charAt(0) + ordinal.slice(1).toLowerCase();
}

interface DayRule {
  readonly ordinal: Ordinal;
  readonly weekday: Weekday | null;
  readonly day: number | null;
}

/** `first Monday`, `last day`, `day 15`. */
export function dayRulePhrase({ ordinal, weekday, day }: DayRule): string {
  if (weekday) return `${ordinalName(ordinal).toLowerCase()} ${dayName(weekday)}`;
  return day === LAST_DAY ? "last day" : `day ${day ?? 1}`;
}

interface Period {
  readonly amount: number;
  readonly unit: PeriodUnit;
}

/** `30 days`, `1 month`. */
export function periodText({ amount, unit }: Period): string {
  return count(amount, unit.toLowerCase().slice(0, -1));
}

const FREQUENCY_NAME: Record<Frequency, string> = { DAILY: "Daily", WEEKLY: "Weekly", MONTHLY: "Monthly", YEARLY: "Yearly" };

export function frequencyName(frequency: Frequency): string {
  return FREQUENCY_NAME[frequency];
}

/** `D`, `W`, `M`, `Y`. */
export function flagLetter(frequency: Frequency): string {
  return FREQUENCY_NAME[frequency].charAt(0);
}

/** Most frequent first. */
export function inOrder(flags: readonly Frequency[]): Frequency[] {
  return FREQUENCIES.filter((frequency) => flags.includes(frequency));
}

export const LEGS: readonly Leg[] = ["SNAPSHOT", "REPLICA", "BACKUP", "ARCHIVE"];

function same<T>(left: readonly T[], right: readonly T[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index]);
}

/** `on the first Sunday`. */
export function healthCheckPhrase(check: { readonly ordinal: Ordinal; readonly weekday: Weekday }): string {
  return `on the ${ordinalName(check.ordinal).toLowerCase()} ${dayName(check.weekday)}`;
}
