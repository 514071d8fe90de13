import type {
  DayRuleInput,
  Frequency,
  Leg,
  Ordinal,
  PeriodUnit,
  PolicyPreviewQuery,
  RuleInput,
  RulePartsFragment,
  ScheduleInput,
  SchedulePartsFragment,
  Weekday,
} from "../../../api/generated";
import { FREQUENCIES, WEEKDAYS } from "../../../format/calendar";

/** One leg of one frequency. `slots`: hours, weekday numbers (Monday 0) or months, by the frequency. Numbers are as typed. */
export interface RuleDraft {
  readonly slots: readonly number[];
  readonly count: string;
  readonly amount: string;
  readonly unit: PeriodUnit;
}

/** A day of a month: `fixed` is "on day", else the ordinal weekday. */
export interface DayDraft {
  readonly fixed: boolean;
  readonly ordinal: Ordinal;
  readonly weekday: Weekday;
  readonly day: number;
}

export interface PartDraft {
  readonly on: boolean;
  /** It was saved once: switched off, it still says how long its points stay. */
  readonly saved: boolean;
  readonly hour: number;
  readonly day: DayDraft;
  /** Monthly and yearly data goes into the backup repository or into the archive, never both. */
  readonly archive: boolean;
  readonly rules: Readonly<Record<Leg, RuleDraft>>;
}

export interface ScheduleDraft {
  readonly timezone: string;
  readonly days: readonly Weekday[];
  readonly perHour: string;
  readonly parts: Readonly<Record<Frequency, PartDraft>>;
}

/** Which legs the policy has a place for. */
export interface Places {
  readonly REPLICA: boolean;
  readonly BACKUP: boolean;
  readonly ARCHIVE: boolean;
}

const KEPT: Record<Frequency, { count: string; amount: string; unit: PeriodUnit }> = {
  DAILY: { count: "7", amount: "30", unit: "DAYS" },
  WEEKLY: { count: "4", amount: "3", unit: "MONTHS" },
  MONTHLY: { count: "3", amount: "12", unit: "MONTHS" },
  YEARLY: { count: "1", amount: "3", unit: "YEARS" },
};
const FIRST_SLOTS: Record<Frequency, readonly number[]> = { DAILY: [2], WEEKLY: [6], MONTHLY: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], YEARLY: [1] };

/** Legs a frequency can make, in the order they are made. */
const LEGS_OF: Record<Frequency, readonly Leg[]> = {
  DAILY: ["SNAPSHOT", "REPLICA", "BACKUP"],
  WEEKLY: ["SNAPSHOT", "REPLICA", "BACKUP"],
  MONTHLY: ["SNAPSHOT", "REPLICA", "BACKUP", "ARCHIVE"],
  YEARLY: ["BACKUP", "ARCHIVE"],
};

export function isCounted(leg: Leg): boolean {
  return leg === "SNAPSHOT" || leg === "REPLICA";
}

export function newSchedule(timezone: string): ScheduleDraft {
  const part = (frequency: Frequency): PartDraft => {
    const rule = (slots: readonly number[]): RuleDraft => ({ slots, ...KEPT[frequency] });
    const first = FIRST_SLOTS[frequency];
    const yearly = frequency === "YEARLY";
    return {
      on: frequency === "DAILY",
      saved: false,
      hour: 2,
      day: { fixed: false, ordinal: "FIRST", weekday: "SUNDAY", day: 1 },
      archive: false,
      rules: { SNAPSHOT: rule(yearly ? [] : first), REPLICA: rule([]), BACKUP: rule(yearly ? first : []), ARCHIVE: rule([]) },
    };
  };
  return {
    timezone,
    days: WEEKDAYS,
    perHour: "1",
    parts: { DAILY: part("DAILY"), WEEKLY: part("WEEKLY"), MONTHLY: part("MONTHLY"), YEARLY: part("YEARLY") },
  };
}

export function scheduleDraftOf(schedule: SchedulePartsFragment): ScheduleDraft {
  const fresh = newSchedule(schedule.timezone);
  const { daily, weekly, monthly, yearly } = schedule;
  const part = (
    frequency: Frequency,
    saved: { enabled: boolean } & { [leg in "snapshot" | "replica" | "backup" | "archive"]?: RulePartsFragment | null } & {
      hour?: number;
      day?: { ordinal: Ordinal; weekday: Weekday | null; day: number | null };
    } | null,
  ): PartDraft => {
    const other = fresh.parts[frequency];
    if (!saved) return { ...other, on: false };
    const rule = (leg: Leg, given: RulePartsFragment | null | undefined): RuleDraft => ({
      slots: given?.slots ?? [],
      count: String(given?.count ?? other.rules[leg].count),
      amount: String(given?.period?.amount ?? other.rules[leg].amount),
      unit: given?.period?.unit ?? other.rules[leg].unit,
    });
    return {
      on: saved.enabled,
      saved: true,
      hour: saved.hour ?? other.hour,
      day: saved.day
        ? { fixed: saved.day.weekday === null, ordinal: saved.day.ordinal, weekday: saved.day.weekday ?? "SUNDAY", day: saved.day.day ?? 1 }
        : other.day,
      archive: (saved.archive ?? null) !== null,
      rules: {
        SNAPSHOT: rule("SNAPSHOT", saved.snapshot),
        REPLICA: rule("REPLICA", saved.replica),
        BACKUP: rule("BACKUP", saved.backup),
        ARCHIVE: rule("ARCHIVE", saved.archive),
      },
    };
  };
  return {
    timezone: schedule.timezone,
    days: daily?.days ?? fresh.days,
    perHour: String(daily?.perHour ?? 1),
    parts: { DAILY: part("DAILY", daily), WEEKLY: part("WEEKLY", weekly), MONTHLY: part("MONTHLY", monthly), YEARLY: part("YEARLY", yearly) },
  };
}

/** What the server says a schedule takes over from a more frequent one, by the input's path (`schedule.monthly.hour`). */
export type InheritedTimes = PolicyPreviewQuery["previewPolicy"]["inherited"];

/** The schedule with everything inherited filled in; the same object when nothing changes. */
export function withInherited(schedule: ScheduleDraft, times: InheritedTimes): ScheduleDraft {
  const parts = { ...schedule.parts };
  for (const { path, hour, day } of times) {
    const frequency = FREQUENCIES.find((each) => path.startsWith(`schedule.${each.toLowerCase()}.`));
    if (!frequency) continue;
    const part = parts[frequency];
    if (hour !== null && part.hour !== hour) parts[frequency] = { ...part, hour };
    if (day?.weekday && (part.day.ordinal !== day.ordinal || part.day.weekday !== day.weekday)) {
      parts[frequency] = { ...parts[frequency], day: { ...part.day, ordinal: day.ordinal, weekday: day.weekday } };
    }
  }
  const changed = FREQUENCIES.some((frequency) => parts[frequency] !== schedule.parts[frequency]);
  return changed ? { ...schedule, parts } : schedule;
}

/** Why a field is not chosen here; null when it is. */
export function lockReason(times: InheritedTimes, path: string): string | null {
  const found = times.find((each) => each.path === path);
  if (!found) return null;
  return `As in the ${found.source.toLowerCase()} schedule, so that one restore point serves both. Choose a fixed day of the month to set another.`;
}

/** Rows of a frequency's grid. What has no place cannot be made; backups and archives exclude each other. */
export function legsOf(frequency: Frequency, part: PartDraft, places: Places): Leg[] {
  return LEGS_OF[frequency].filter((leg) => {
    if (leg === "BACKUP") return !part.archive && (places.BACKUP || frequency === "YEARLY");
    if (leg === "ARCHIVE") return part.archive;
    return leg === "SNAPSHOT" || places[leg];
  });
}

/** Made from a snapshot of the same slot. An archive does without one that is kept. */
const ON_SNAPSHOTS: readonly Leg[] = ["REPLICA", "BACKUP"];

/** The part after a click on a slot: what is made from a snapshot needs one at its slot, so they move together. */
export function toggled(part: PartDraft, leg: Leg, slot: number): PartDraft {
  const has = part.rules[leg].slots.includes(slot);
  const rules = { ...part.rules };
  const put = (each: Leg, on: boolean): void => {
    const others = rules[each].slots.filter((other) => other !== slot);
    rules[each] = { ...rules[each], slots: on ? [...others, slot].sort((left, right) => left - right) : others };
  };
  put(leg, !has);
  if (!has && ON_SNAPSHOTS.includes(leg)) put("SNAPSHOT", true);
  if (has && leg === "SNAPSHOT") for (const other of ON_SNAPSHOTS) put(other, false);
  return { ...part, rules };
}

/** The part switched on; one that never said so backs up what it snapshots, if there is a place for backups. */
export function switchedOn(part: PartDraft, places: Places): PartDraft {
  const silent = !part.saved && part.rules.BACKUP.slots.length === 0 && part.rules.ARCHIVE.slots.length === 0;
  if (!silent || !places.BACKUP) return { ...part, on: true };
  return { ...changedRule(part, "BACKUP", { slots: part.rules.SNAPSHOT.slots }), on: true };
}

/** Backups become archives and back; the chosen slots stay. */
export function sentTo(part: PartDraft, archive: boolean): PartDraft {
  const from = part.archive ? "ARCHIVE" : "BACKUP";
  const to = archive ? "ARCHIVE" : "BACKUP";
  if (from === to) return part;
  const { [from]: left, [to]: right } = part.rules;
  return { ...part, archive, rules: { ...part.rules, [from]: { ...left, slots: [] }, [to]: { ...right, slots: left.slots } } };
}

export function changedRule(part: PartDraft, leg: Leg, change: Partial<RuleDraft>): PartDraft {
  return { ...part, rules: { ...part.rules, [leg]: { ...part.rules[leg], ...change } } };
}

/** Path of the field in the server's words (`schedule.daily.backup.period`) → sentence, for numbers that cannot even be sent. */
export function scheduleNumbers(schedule: ScheduleDraft, places: Places): Record<string, string> {
  const found: Record<string, string> = {};
  for (const frequency of FREQUENCIES) {
    const part = schedule.parts[frequency];
    if (!part.on) continue;
    for (const leg of legsOf(frequency, part, places)) {
      const rule = part.rules[leg];
      if (leg !== "SNAPSHOT" && rule.slots.length === 0) continue;
      const path = `schedule.${frequency.toLowerCase()}.${leg.toLowerCase()}`;
      if (isCounted(leg)) wholeNumber(found, `${path}.count`, rule.count, 0, 1000);
      else wholeNumber(found, `${path}.period`, rule.amount, 1, 36135);
    }
  }
  if (schedule.parts.DAILY.on) wholeNumber(found, "schedule.daily.perHour", schedule.perHour, 1, 60);
  return found;
}

export function wholeNumber(found: Record<string, string>, path: string, value: string, min: number, max: number): void {
  const number = Number(value);
  if (value.trim() === "" || !Number.isInteger(number) || number < min || number > max) {
    found[path] = `Enter a whole number from ${min.toLocaleString("en-US")} to ${max.toLocaleString("en-US")}.`;
  }
}

export function scheduleInputOf(draft: ScheduleDraft, places: Places): ScheduleInput {
  const { timezone, days, perHour, parts } = draft;
  const wanted = (frequency: Frequency): PartDraft | null => (parts[frequency].on || parts[frequency].saved ? parts[frequency] : null);
  const [daily, weekly, monthly, yearly] = [wanted("DAILY"), wanted("WEEKLY"), wanted("MONTHLY"), wanted("YEARLY")];
  const optional = (part: PartDraft, frequency: Frequency, leg: Leg): RuleInput | null =>
    part.rules[leg].slots.length > 0 && (legsOf(frequency, part, places).includes(leg) || !part.on) ? ruleInput(part, leg) : null;
  return {
    timezone,
    daily: daily && {
      enabled: daily.on,
      days,
      perHour: Number(perHour),
      snapshot: ruleInput(daily, "SNAPSHOT"),
      replica: optional(daily, "DAILY", "REPLICA"),
      backup: optional(daily, "DAILY", "BACKUP"),
    },
    weekly: weekly && {
      enabled: weekly.on,
      hour: weekly.hour,
      snapshot: ruleInput(weekly, "SNAPSHOT"),
      replica: optional(weekly, "WEEKLY", "REPLICA"),
      backup: optional(weekly, "WEEKLY", "BACKUP"),
    },
    monthly: monthly && {
      enabled: monthly.on,
      hour: monthly.hour,
      day: dayInput(monthly.day),
      snapshot: ruleInput(monthly, "SNAPSHOT"),
      replica: optional(monthly, "MONTHLY", "REPLICA"),
      backup: optional(monthly, "MONTHLY", "BACKUP"),
      archive: optional(monthly, "MONTHLY", "ARCHIVE"),
    },
    yearly: yearly && {
      enabled: yearly.on,
      hour: yearly.hour,
      day: dayInput(yearly.day),
      backup: optional(yearly, "YEARLY", "BACKUP"),
      archive: optional(yearly, "YEARLY", "ARCHIVE"),
    },
  };
}

function ruleInput(part: PartDraft, leg: Leg): RuleInput {
  const { slots, count, amount, unit } = part.rules[leg];
  return isCounted(leg) ? { slots, count: Number(count) } : { slots, period: { amount: Number(amount), unit } };
}

export function dayInput({ fixed, ordinal, weekday, day }: DayDraft): DayRuleInput {
  return fixed ? { ordinal: "FIRST", weekday: null, day } : { ordinal, weekday, day: null };
}
