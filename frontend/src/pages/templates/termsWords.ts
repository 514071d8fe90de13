import type { LegPlanPartsFragment, TermsPartsFragment } from "../../api/generated";
import { dayRulePhrase, daysPhrase, healthCheckPhrase, minuteName, monthsPhrase, periodText } from "../../format/calendar";

/** `every 4 hours`, `every 30 minutes`, `once a day`. */
export function stepPhrase(minutes: number): string {
  if (minutes === 24 * 60) return "once a day";
  if (minutes === 60) return "every hour";
  return minutes % 60 === 0 ? `every ${minutes / 60} hours` : `every ${minutes} minutes`;
}

/** `all day`, `from 22:00 to 06:00`. */
function windowPhrase({ start, end }: { start: number; end: number }): string {
  return start === end ? "all day" : `from ${minuteName(start)} to ${minuteName(end)}`;
}

const FIRST_OF: Record<string, string> = { DAILY: "day", WEEKLY: "week", MONTHLY: "month" };

/** What a template promises, a sentence for each promise. */
export function termsSentences(terms: TermsPartsFragment): string[] {
  const { snapshot, backup, replica, archive, healthCheck } = terms;
  const sentences = planSentences("Snapshots", snapshot);
  if (replica) sentences.push(`The first snapshot of each ${FIRST_OF[replica.firstOf] ?? "day"} is replicated; replicas are kept for ${periodText(replica.keep)}.`);
  if (backup) sentences.push(...planSentences("Backups", backup));
  if (archive) sentences.push(`The first backup of the month is archived ${monthsPhrase(archive.months)}; archives are kept for ${periodText(archive.keep)}.`);
  sentences.push(`The promise counts as kept from ${terms.target} % on.`);
  if (backup) {
    sentences.push(
      terms.trackChanges
        ? "The snapshot behind the last backup is held, so that the next backup reads only what changed."
        : "No snapshot is held for the next backup: it reads everything.",
    );
    if (healthCheck) sentences.push(`The health of the backups is checked once a month, ${healthCheckPhrase(healthCheck)}.`);
  }
  return sentences;
}

function planSentences(what: string, plan: LegPlanPartsFragment): string[] {
  const { daily, weekly, monthly } = plan;
  const sentences: string[] = [];
  if (daily) sentences.push(`${what} ${stepPhrase(daily.everyMinutes)}, ${windowPhrase(plan.window)}, kept for ${periodText(daily.keep)}.`);
  if (weekly) sentences.push(`${what} ${daysPhrase(weekly.days)}${daily ? "" : `, ${windowPhrase(plan.window)}`}, kept for ${periodText(weekly.keep)}.`);
  if (monthly) sentences.push(`${what} on the ${dayRulePhrase(monthly.day)} ${monthsPhrase(monthly.months)}, kept for ${periodText(monthly.keep)}.`);
  return sentences;
}
