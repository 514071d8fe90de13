import type {
  Frequency,
  LegPlanInput,
  LegPlanPartsFragment,
  Ordinal,
  PeriodInput,
  PeriodPartsFragment,
  SlaTermsInput,
  TermsPartsFragment,
  Weekday,
} from "../../api/generated";
import { minuteName, minutesOf, MONTHS, WEEKDAYS } from "../../format/calendar";
import type { PeriodDraft } from "../../ui/PeriodField";
import { dayInput, wholeNumber, type DayDraft } from "../policies/wizard/scheduleDraft";

/** What one leg is promised. Times of day and numbers are as typed. */
export interface PlanDraft {
  readonly start: string;
  readonly end: string;
  readonly daily: boolean;
  /** Minutes between two points. */
  readonly everyMinutes: number;
  readonly dailyKeep: PeriodDraft;
  readonly weekly: boolean;
  readonly days: readonly Weekday[];
  readonly weeklyKeep: PeriodDraft;
  readonly monthly: boolean;
  readonly months: readonly number[];
  readonly day: DayDraft;
  readonly monthlyKeep: PeriodDraft;
}

export interface TermsDraft {
  readonly snapshot: PlanDraft;
  readonly backsUp: boolean;
  readonly backup: PlanDraft;
  readonly replicates: boolean;
  readonly firstOf: Frequency;
  readonly replicaKeep: PeriodDraft;
  readonly archives: boolean;
  readonly archiveMonths: readonly number[];
  readonly archiveKeep: PeriodDraft;
  readonly trackChanges: boolean;
  readonly target: string;
  readonly healthChecked: boolean;
  readonly ordinal: Ordinal;
  readonly weekday: Weekday;
}

const EVERY_MONTH = MONTHS.map((_name, index) => index + 1);

function newPlan(everyMinutes: number, keepDays: string): PlanDraft {
  return {
    start: "00:00",
    end: "00:00",
    daily: true,
    everyMinutes,
    dailyKeep: { amount: keepDays, unit: "DAYS" },
    weekly: false,
    days: ["SUNDAY"],
    weeklyKeep: { amount: "1", unit: "MONTHS" },
    monthly: false,
    months: EVERY_MONTH,
    day: { fixed: false, ordinal: "FIRST", weekday: "SUNDAY", day: 1 },
    monthlyKeep: { amount: "12", unit: "MONTHS" },
  };
}

export function newTerms(): TermsDraft {
  return {
    snapshot: newPlan(240, "7"),
    backsUp: false,
    backup: { ...newPlan(1440, "30"), start: "22:00", end: "06:00" },
    replicates: false,
    firstOf: "DAILY",
    replicaKeep: { amount: "7", unit: "DAYS" },
    archives: false,
    archiveMonths: [1, 4, 7, 10],
    archiveKeep: { amount: "1", unit: "YEARS" },
    trackChanges: true,
    target: "97",
    healthChecked: true,
    ordinal: "FIRST",
    weekday: "SUNDAY",
  };
}

export function termsDraftOf(terms: TermsPartsFragment): TermsDraft {
  const fresh = newTerms();
  const { replica, backup, archive, healthCheck } = terms;
  return {
    snapshot: planDraftOf(terms.snapshot, fresh.snapshot),
    backsUp: backup !== null,
    backup: backup ? planDraftOf(backup, fresh.backup) : fresh.backup,
    replicates: replica !== null,
    firstOf: replica?.firstOf ?? fresh.firstOf,
    replicaKeep: replica ? typed(replica.keep) : fresh.replicaKeep,
    archives: archive !== null,
    archiveMonths: archive?.months ?? fresh.archiveMonths,
    archiveKeep: archive ? typed(archive.keep) : fresh.archiveKeep,
    trackChanges: terms.trackChanges,
    target: String(terms.target),
    healthChecked: healthCheck !== null,
    ordinal: healthCheck?.ordinal ?? fresh.ordinal,
    weekday: healthCheck?.weekday ?? fresh.weekday,
  };
}

function planDraftOf(plan: LegPlanPartsFragment, fresh: PlanDraft): PlanDraft {
  const { daily, weekly, monthly } = plan;
  return {
    start: minuteName(plan.window.start),
    end: minuteName(plan.window.end),
    daily: daily !== null,
    everyMinutes: daily?.everyMinutes ?? fresh.everyMinutes,
    dailyKeep: daily ? typed(daily.keep) : fresh.dailyKeep,
    weekly: weekly !== null,
    days: weekly?.days ?? fresh.days,
    weeklyKeep: weekly ? typed(weekly.keep) : fresh.weeklyKeep,
    monthly: monthly !== null,
    months: monthly?.months ?? fresh.months,
    day: monthly
      ? { fixed: monthly.day.weekday === null, ordinal: monthly.day.ordinal, weekday: monthly.day.weekday ?? "SUNDAY", day: monthly.day.day ?? 1 }
      : fresh.day,
    monthlyKeep: monthly ? typed(monthly.keep) : fresh.monthlyKeep,
  };
}

function typed({ amount, unit }: PeriodPartsFragment): PeriodDraft {
  return { amount: String(amount), unit };
}

export function termsInputOf(draft: TermsDraft): SlaTermsInput {
  return {
    snapshot: planInputOf(draft.snapshot),
    backup: draft.backsUp ? planInputOf(draft.backup) : null,
    replica: draft.replicates ? { firstOf: draft.firstOf, keep: sent(draft.replicaKeep) } : null,
    archive: draft.backsUp && draft.archives ? { months: draft.archiveMonths, keep: sent(draft.archiveKeep) } : null,
    trackChanges: draft.trackChanges,
    target: Number(draft.target),
    healthCheck: draft.backsUp && draft.healthChecked ? { ordinal: draft.ordinal, weekday: draft.weekday } : null,
  };
}

function planInputOf(plan: PlanDraft): LegPlanInput {
  return {
    window: { start: minutesOf(plan.start) ?? 0, end: minutesOf(plan.end) ?? 0 },
    daily: plan.daily ? { everyMinutes: plan.everyMinutes, keep: sent(plan.dailyKeep) } : null,
    weekly: plan.weekly ? { days: WEEKDAYS.filter((day) => plan.days.includes(day)), keep: sent(plan.weeklyKeep) } : null,
    monthly: plan.monthly ? { months: plan.months, day: dayInput(plan.day), keep: sent(plan.monthlyKeep) } : null,
  };
}

function sent({ amount, unit }: PeriodDraft): PeriodInput {
  return { amount: Number(amount), unit };
}

/** Input path (`terms.snapshot.daily.keep`) → sentence, for what cannot be sent; the rest is judged by the server. */
export function unsendableTerms(draft: TermsDraft): Record<string, string> {
  const found: Record<string, string> = {};
  planProblems(found, "terms.snapshot", draft.snapshot);
  if (draft.backsUp) planProblems(found, "terms.backup", draft.backup);
  if (draft.replicates) wholeNumber(found, "terms.replica.keep", draft.replicaKeep.amount, 1, 36135);
  if (draft.backsUp && draft.archives) wholeNumber(found, "terms.archive.keep", draft.archiveKeep.amount, 1, 36135);
  wholeNumber(found, "terms.target", draft.target, 1, 100);
  return found;
}

function planProblems(found: Record<string, string>, path: string, plan: PlanDraft): void {
  for (const [name, text] of [["start", plan.start], ["end", plan.end]] as const) {
    if (minutesOf(text) === null) found[`${path}.window.${name}`] = "Enter a time such as 22:00.";
  }
  if (plan.daily) wholeNumber(found, `${path}.daily.keep`, plan.dailyKeep.amount, 1, 36135);
  if (plan.weekly) wholeNumber(found, `${path}.weekly.keep`, plan.weeklyKeep.amount, 1, 36135);
  if (plan.monthly) wholeNumber(found, `${path}.monthly.keep`, plan.monthlyKeep.amount, 1, 36135);
}

/** How many points a window promises a day: its start counts, its end does not, and equal times mean all day. */
export function pointsPerDay(plan: Pick<PlanDraft, "start" | "end" | "everyMinutes">): number | null {
  const [start, end] = [minutesOf(plan.start), minutesOf(plan.end)];
  if (start === null || end === null) return null;
  const length = end > start ? end - start : end + 24 * 60 - start;
  return Math.ceil(length / plan.everyMinutes);
}
