import type { HealthCheckInput, Ordinal, PolicyDetailQuery, PolicyInput, Weekday } from "../../api/generated";
import { count, healthCheckPhrase, list, retentionSentence, scheduleSentence, WEEKDAYS, type Schedule } from "../../format/schedule";
import { complete, tagText, type Ranked, type ScopeDraft } from "./scope";

export type PolicyDetail = Extract<NonNullable<PolicyDetailQuery["node"]>, { __typename: "Policy" }>;

const PRIORITY_MAX = 1_000_000;

/** A policy while it is being written. */
export interface PolicyDraft extends ScopeDraft {
  readonly name: string;
  readonly description: string;
  readonly enabled: boolean;
  /** As typed; empty: after all other policies. */
  readonly priority: string;
  readonly accountId: string;
  readonly scheduled: boolean;
  readonly snapshotHours: readonly number[];
  readonly backupHours: readonly number[];
  readonly days: readonly Weekday[];
  readonly timezone: string;
  readonly repositoryId: string;
  readonly snapshots: string;
  readonly backupDays: string;
  readonly retryAttempts: string;
  readonly copyTags: boolean;
  readonly verify: boolean;
  readonly healthChecked: boolean;
  readonly ordinal: Ordinal;
  readonly weekday: Weekday;
}

export function newDraft(timezone: string): PolicyDraft {
  return {
    name: "",
    description: "",
    enabled: true,
    priority: "",
    accountId: "",
    regions: [],
    all: true,
    resourceIds: [],
    tags: [],
    excludedResourceIds: [],
    excludedTags: [],
    scheduled: true,
    snapshotHours: [2],
    backupHours: [],
    days: WEEKDAYS,
    timezone,
    repositoryId: "",
    snapshots: "7",
    backupDays: "30",
    retryAttempts: "3",
    copyTags: true,
    verify: false,
    healthChecked: true,
    ordinal: "FIRST",
    weekday: "SUNDAY",
  };
}

export function draftOf(policy: PolicyDetail, timezone: string): PolicyDraft {
  const { scope, schedule } = policy;
  return {
    name: policy.name,
    description: policy.description,
    enabled: policy.enabled,
    priority: String(policy.priority),
    accountId: scope.account.id,
    regions: scope.regions,
    all: scope.mode === "ALL",
    resourceIds: scope.resources.map((resource) => resource.id),
    tags: scope.tags.map(({ key, value }) => ({ key, value: value ?? null })),
    excludedResourceIds: scope.excludedResources.map((resource) => resource.id),
    excludedTags: scope.excludedTags.map(({ key, value }) => ({ key, value: value ?? null })),
    scheduled: schedule !== null,
    snapshotHours: schedule?.snapshotHours ?? [2],
    backupHours: schedule?.backupHours ?? [],
    days: schedule?.days ?? WEEKDAYS,
    timezone: schedule?.timezone ?? timezone,
    repositoryId: policy.repository?.id ?? "",
    snapshots: String(policy.retention.snapshots),
    backupDays: String(policy.retention.backupDays),
    retryAttempts: String(policy.retryAttempts),
    copyTags: policy.copyTags,
    verify: policy.verify,
    healthChecked: policy.healthCheck !== null,
    ordinal: policy.healthCheck?.ordinal ?? "FIRST",
    weekday: policy.healthCheck?.weekday ?? "SUNDAY",
  };
}

export function inputOf(draft: PolicyDraft): PolicyInput {
  return {
    name: draft.name.trim(),
    description: draft.description.trim(),
    workload: "ec2",
    enabled: draft.enabled,
    priority: draft.priority.trim() === "" ? null : Number(draft.priority),
    scope: {
      accountId: draft.accountId,
      regions: draft.regions,
      mode: draft.all ? "ALL" : "LISTED",
      resourceIds: draft.all ? [] : draft.resourceIds,
      tags: draft.all ? [] : complete(draft.tags),
      excludedResourceIds: draft.excludedResourceIds,
      excludedTags: complete(draft.excludedTags),
    },
    schedule: scheduleOf(draft),
    retention: { snapshots: Number(draft.snapshots), backupDays: Number(draft.backupDays) },
    retryAttempts: Number(draft.retryAttempts),
    repositoryId: draft.repositoryId || null,
    copyTags: draft.copyTags,
    verify: draft.repositoryId !== "" && draft.verify,
    healthCheck: healthCheckOf(draft),
  };
}

/** Without backups there is nothing to check. */
export function healthCheckOf(draft: PolicyDraft): HealthCheckInput | null {
  return draft.repositoryId !== "" && draft.healthChecked ? { ordinal: draft.ordinal, weekday: draft.weekday } : null;
}

export function scheduleOf(draft: PolicyDraft): Schedule | null {
  if (!draft.scheduled) return null;
  const { snapshotHours, backupHours, days, timezone } = draft;
  return { snapshotHours, backupHours: draft.repositoryId ? backupHours : [], days, timezone };
}

/** Where a policy with this draft would stand; null: last, as a new one without a number does. */
export function rankOf(draft: PolicyDraft, policy: PolicyDetail | null): Ranked | null {
  const priority = draft.priority.trim() === "" ? (policy?.priority ?? null) : Number(draft.priority);
  // A new policy is younger than all others, so of two with the same number it goes last.
  return priority === null ? null : { id: policy?.id ?? "", priority, createdAt: policy?.createdAt ?? "9999" };
}

/** Field → sentence, for one step of the form; the server checks again. */
export function problemsOf(draft: PolicyDraft, step: "name" | "scope" | "schedule" | "retention"): Record<string, string> {
  const found: Record<string, string> = {};
  switch (step) {
    case "name":
      if (draft.name.trim() === "") found.name = "Give the policy a name.";
      if (draft.priority.trim() !== "") whole(found, "priority", draft.priority, 1, PRIORITY_MAX);
      break;
    case "scope":
      if (draft.accountId === "") found.accountId = "Choose an AWS account.";
      if (draft.regions.length === 0) found.regions = "Choose at least one Region.";
      if (!draft.all && draft.resourceIds.length === 0 && complete(draft.tags).length === 0) {
        found.resourceIds = "Name at least one resource or tag, or select all.";
      }
      break;
    case "schedule":
      if (draft.scheduled && draft.snapshotHours.length === 0) found.snapshotHours = "Choose at least one hour, or run by hand only.";
      if (draft.scheduled && draft.days.length === 0) found.days = "Choose at least one day.";
      break;
    case "retention":
      whole(found, "snapshots", draft.snapshots, 0, 1000, "snapshots");
      whole(found, "backupDays", draft.backupDays, 1, 36135, "days");
      whole(found, "retryAttempts", draft.retryAttempts, 0, 9, "tries");
      break;
  }
  return found;
}

function whole(found: Record<string, string>, field: string, value: string, min: number, max: number, unit = ""): void {
  const number = Number(value);
  if (value.trim() === "" || !Number.isInteger(number) || number < min || number > max) {
    found[field] = `Enter a whole number from ${min} to ${max.toLocaleString("en-US")}${unit && ` ${unit}`}.`;
  }
}

/** The policy in plain words, one sentence for each of its promises. */
export function inWords(draft: PolicyDraft, names: { resources: ReadonlyMap<string, string>; repository: string | null }): string[] {
  const named = (ids: readonly string[]): string[] => ids.map((id) => names.resources.get(id) ?? "a resource no longer known");
  const regions = list(draft.regions);
  const excluded = [...named(draft.excludedResourceIds), ...complete(draft.excludedTags).map((tag) => `anything tagged ${tagText(tag)}`)];
  const chosen = draft.all
    ? `every EC2 instance in ${regions}`
    : [
        ...(draft.resourceIds.length > 0 ? [list(named(draft.resourceIds))] : []),
        ...(complete(draft.tags).length > 0 ? [`every EC2 instance in ${regions} tagged ${complete(draft.tags).map(tagText).join(" or ")}`] : []),
      ].join(", and ");
  const sentences = [
    `Protected: ${chosen}${excluded.length > 0 ? `, except ${list(excluded)}` : ""}.`,
    scheduleSentence(scheduleOf(draft)),
  ];
  sentences.push(
    names.repository
      ? `Backups are written, encrypted, to the repository ${names.repository}.`
      : "Only snapshots are made: they stay in the AWS account, in the Region of the instance.",
  );
  sentences.push(retentionSentence({ snapshots: Number(draft.snapshots), backupDays: Number(draft.backupDays) }, draft.repositoryId !== ""));
  if (draft.repositoryId !== "") {
    if (draft.verify) sentences.push("Each new backup is read again and compared with the volumes it was made from.");
    const check = healthCheckOf(draft);
    sentences.push(
      check
        ? `The health of all its backups is checked once a month, ${healthCheckPhrase(check)}.`
        : "Its backups are not checked by themselves, only when somebody starts a health check.",
    );
  }
  const tries = Number(draft.retryAttempts);
  sentences.push(tries > 0 ? `An instance that fails is tried again up to ${count(tries, "time")}.` : "An instance that fails is not tried again until the next run.");
  if (!draft.enabled) sentences.push("It is created disabled: it does not run until it is enabled.");
  return sentences;
}
