import type { Ordinal, Weekday } from "../api/generated";

export interface Schedule {
  readonly snapshotHours: readonly number[];
  readonly backupHours: readonly number[];
  readonly days: readonly Weekday[];
  readonly timezone: string;
}

export const WEEKDAYS: readonly Weekday[] = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
const WORKDAYS = WEEKDAYS.slice(0, 5);
const WEEKEND = WEEKDAYS.slice(5);

/** `Monday`; short: `Mon`. */
export function dayName(day: Weekday, short = false): string {
  const name = day.charAt(0) + day.slice(1).toLowerCase();
  return short ? name.slice(0, 3) : name;
}

/** 9 → `09:00`. */
export function hourName(hour: number): string {
  return `${String(hour).padStart(2, "0")}:00`;
}

/** `every day`, `Monday to Friday`, `weekends`, `Mon, Wed and Fri`. */
export function daysPhrase(days: readonly Weekday[]): string {
  const chosen = WEEKDAYS.filter((day) => days.includes(day));
  if (chosen.length === 7) return "every day";
  if (chosen.length === 0) return "on no day";
  if (same(chosen, WORKDAYS)) return "Monday to Friday";
  if (same(chosen, WEEKEND)) return "on weekends";
  if (chosen.length === 1) return `on ${dayName(chosen[0]!)}s`;
  return `on ${list(chosen.map((day) => dayName(day, true)))}`;
}

/** `at 02:00`, `at 02:00 and 14:00`, `every hour`, `every 4 hours from 00:00`. */
export function hoursPhrase(hours: readonly number[]): string {
  const chosen = [...new Set(hours)].sort((a, b) => a - b);
  if (chosen.length === 0) return "never";
  if (chosen.length === 24) return "every hour";
  const step = 24 / chosen.length;
  const first = chosen[0]!;
  if (chosen.length >= 3 && Number.isInteger(step) && chosen.every((hour, index) => hour === first + index * step)) {
    return `every ${step} hours from ${hourName(first)}`;
  }
  return `at ${list(chosen.map(hourName))}`;
}

/** The whole schedule as one sentence a person can check. */
export function scheduleSentence(schedule: Schedule | null | undefined): string {
  if (!schedule) return "Runs only when started by hand.";
  const snapshots = `Snapshots ${hoursPhrase(schedule.snapshotHours)}, ${daysPhrase(schedule.days)}`;
  const backups =
    schedule.backupHours.length === 0
      ? "no backups"
      : same(sorted(schedule.backupHours), sorted(schedule.snapshotHours))
        ? "each followed by a backup"
        : `backups ${hoursPhrase(schedule.backupHours)}`;
  return `${snapshots}; ${backups} (${schedule.timezone}).`;
}

/** Short form for tables: `02:00, 14:00 · Mon–Fri`. */
export function scheduleShort(schedule: Schedule | null | undefined): string {
  if (!schedule) return "By hand";
  const hours = hoursPhrase(schedule.snapshotHours).replace(/^at /, "");
  return `${hours.charAt(0).toUpperCase()}${hours.slice(1)}, ${daysPhrase(schedule.days).replace(/^on /, "")}`;
}

export const ORDINALS: readonly Ordinal[] = ["FIRST", "SECOND", "THIRD", "FOURTH", "LAST"];

/** `FIRST` → `First`. */
export function ordinalName(ordinal: Ordinal): string {
  return ordinal.charAt(0) + ordinal.slice(1).toLowerCase();
}

/** `on the first Sunday`. */
export function healthCheckPhrase(check: { ordinal: Ordinal; weekday: Weekday }): string {
  return `on the ${ordinalName(check.ordinal).toLowerCase()} ${dayName(check.weekday)}`;
}

/** What is kept, as a sentence. */
export function retentionSentence(retention: { snapshots: number; backupDays: number }, withBackups: boolean): string {
  const snapshots =
    retention.snapshots === 0
      ? "No snapshot is kept beyond the one the next backup builds on"
      : `The newest ${count(retention.snapshots, "snapshot")} of each resource ${retention.snapshots === 1 ? "is" : "are"} kept`;
  return withBackups ? `${snapshots}; backups are kept for ${count(retention.backupDays, "day")}.` : `${snapshots}.`;
}

/** `1 day`, `3 days`, `1,200 instances`. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString("en-US")} ${number === 1 ? noun : plural(noun)}`;
}

function plural(noun: string): string {
  return noun.endsWith("y") && !/[aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`;
}

/** `a`, `a and b`, `a, b and c`. */
export function list(words: readonly string[]): string {
  if (words.length <= 1) return words[0] ?? "";
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

function sorted(numbers: readonly number[]): number[] {
  return [...numbers].sort((a, b) => a - b);
}

function same<T>(left: readonly T[], right: readonly T[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index]);
}
