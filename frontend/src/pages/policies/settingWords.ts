import type { PolicyChoicesQuery } from "../../api/generated";
import { count, list, wordsOf } from "../../format/text";
import { healthCheckPhrase } from "../../format/calendar";
import { makesBackups, onlyByHand, type PolicyDraft, type TagCondition } from "./draft";

function tagText({ key, value }: TagCondition): string {
  return value === null ? key : `${key}=${value}`;
}

/** More instances than this are counted rather than named. */
const NAMED = 5;

/**
 * What a policy's settings mean, a sentence each. When it runs and what it keeps is told by the server.
 *
 * @param names of the instances it names, by id.
 */
export function settingSentences(draft: PolicyDraft, choices: PolicyChoicesQuery, names: ReadonlyMap<string, string>): string[] {
  const name = (edges: readonly { node: { id: string; name: string } }[], id: string): string =>
    edges.find(({ node }) => node.id === id)?.node.name ?? "one that is no longer there";
  const repositories = choices.repositories.edges;
  const sentences = [scopeSentence(draft, names)];
  const left = leftOut(draft);
  if (left) sentences.push(left);
  if (draft.kind === "SCHEDULE") {
    sentences.push(
      draft.repositoryId === ""
        ? "No backups: snapshots stay in the AWS account, in the Region of the instance."
        : `Backups go to the repository ${name(repositories, draft.repositoryId)}.`,
    );
    if (draft.archiveRepositoryId !== "") sentences.push(`Archives go to ${name(repositories, draft.archiveRepositoryId)}.`);
  }
  for (const target of draft.replicas) {
    const from = target.regions.length > 0 ? list(target.regions) : "every Region";
    sentences.push(`Replicas of ${from} go to ${target.region || "a Region still to choose"}${target.encrypt ? ", encrypted" : ""}.`);
  }
  const guest = guestSentence(draft);
  if (guest) sentences.push(guest);
  if (makesBackups(draft) && draft.verify) sentences.push("Each new backup is read again and compared with the volumes it was made from.");
  if (draft.kind === "SCHEDULE" && makesBackups(draft)) {
    sentences.push(
      draft.healthChecked
        ? `The health of all its backups is checked once a month, ${healthCheckPhrase(draft)}.`
        : "Its backups are not checked by themselves, only when somebody starts a health check.",
    );
  }
  if (!onlyByHand(draft)) {
    const tries = Number(draft.retryAttempts);
    sentences.push(tries > 0 ? `What fails is tried again up to ${count(tries, "time")}.` : "What fails is not tried again until the next run.");
  }
  if (draft.notify) sentences.push(`Mail about it goes to ${list(wordsOf(draft.recipients)) || "nobody yet"}.`);
  if (!draft.enabled) sentences.push("It is disabled: it does not run by itself until it is enabled.");
  return sentences;
}

function instances(ids: readonly string[], names: ReadonlyMap<string, string>): string[] {
  if (ids.length > NAMED) return [count(ids.length, "named instance")];
  return ids.map((id) => names.get(id) ?? "an instance no longer known");
}

function scopeSentence(draft: PolicyDraft, names: ReadonlyMap<string, string>): string {
  const regions = list(draft.regions) || "no Region yet";
  const tags = draft.tags.filter((tag) => tag.key.trim() !== "");
  const parts = draft.all
    ? [`every EC2 instance in ${regions}`]
    : [
        ...instances(draft.resourceIds, names),
        ...(tags.length > 0 ? [`every EC2 instance in ${regions} tagged ${tags.map(tagText).join(" or ")}`] : []),
      ];
  const excluded = [
    ...instances(draft.excludedResourceIds, names),
    ...draft.excludedTags.filter((tag) => tag.key.trim() !== "").map((tag) => `anything tagged ${tagText(tag)}`),
  ];
  return `Protected: ${list(parts) || "nothing yet"}${excluded.length > 0 ? `, except ${list(excluded)}` : ""}.`;
}

function leftOut(draft: PolicyDraft): string | null {
  const volumes = [
    ...(draft.excludeSystemVolume ? ["system volumes"] : []),
    ...wordsOf(draft.excludedVolumeIds),
    ...draft.excludedVolumeTags.filter((tag) => tag.key.trim() !== "").map((tag) => `volumes tagged ${tagText(tag)}`),
  ];
  return volumes.length > 0 ? `Left out: ${list(volumes)}.` : null;
}

function guestSentence(draft: PolicyDraft): string | null {
  const parts = [
    ...(draft.applicationAware ? ["applications on Windows are made consistent"] : []),
    ...(draft.linux.on ? ["scripts run on Linux"] : []),
    ...(draft.windows.on ? ["scripts run on Windows"] : []),
  ];
  return parts.length > 0 ? `Around each snapshot ${list(parts)}.` : null;
}
