import type { Frequency, Leg } from "../../api/generated";
import { inOrder, LEGS } from "../../format/calendar";

export interface RunLeg {
  readonly leg: Leg;
  readonly flags: readonly Frequency[];
}

export interface Run {
  readonly at: string;
  readonly legs: readonly RunLeg[];
}

export interface DayOfRuns<R extends Run> {
  /** `2026-11-23`, in the zone asked for. */
  readonly day: string;
  readonly runs: readonly R[];
}

/** Runs by the day they fall on in a zone, in order. */
export function byDay<R extends Run>(runs: readonly R[], timeZone?: string): DayOfRuns<R>[] {
  const calendar = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit", timeZone });
  const days = new Map<string, R[]>();
  for (const run of runs) {
    const day = calendar.format(new Date(run.at));
    const known = days.get(day);
    if (known) known.push(run);
    else days.set(day, [run]);
  }
  return [...days].map(([day, found]) => ({ day, runs: found }));
}

/** Every flag that any leg of the run carries. */
export function flagsOf(run: Run): Frequency[] {
  return inOrder(run.legs.flatMap((leg) => leg.flags));
}

/** Time of day in a zone: `02:00`. */
export function timeOfDay(at: string, timeZone?: string): string {
  return new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone }).format(new Date(at));
}

/** `2026-11-23` → `Mon 23 Nov`. */
export function dayLabel(day: string): string {
  return new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" })
    .format(new Date(`${day}T00:00:00Z`))
    .replace(",", "");
}

interface Change {
  readonly leg: Leg;
  readonly count: number;
}

interface ForecastLike extends Run {
  readonly legs: readonly (RunLeg & { readonly made: number })[];
  readonly removed: readonly Change[];
}

/** What runs make and delete together, by leg, in the order of the legs; legs with neither are left out. */
export function totals(runs: readonly ForecastLike[]): { leg: Leg; made: number; removed: number }[] {
  return LEGS.map((leg) => ({
    leg,
    made: sum(runs.flatMap((run) => run.legs.filter((each) => each.leg === leg).map((each) => each.made))),
    removed: sum(runs.flatMap((run) => run.removed.filter((each) => each.leg === leg).map((each) => each.count))),
  })).filter(({ made, removed }) => made > 0 || removed > 0);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((left, right) => left + right, 0);
}
