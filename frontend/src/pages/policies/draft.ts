import type { KeyUsage, Ordinal, PolicyDetailQuery, PolicyInput, PolicyKind, ScriptsInput, ScriptsPartsFragment, TagMatchInput, Weekday } from "../../api/generated";
import { minuteName, minutesOf } from "../../format/calendar";
import { wordsOf } from "../../format/text";
import type { PeriodDraft } from "../../ui/PeriodField";
import {
  newSchedule,
  scheduleDraftOf,
  scheduleInputOf,
  scheduleNumbers,
  wholeNumber,
  type Places,
  type ScheduleDraft,
} from "./wizard/scheduleDraft";

export type PolicyDetail = Extract<NonNullable<PolicyDetailQuery["node"]>, { __typename: "Policy" }>;

export interface TagCondition {
  readonly key: string;
  /** null: any value of the key. */
  readonly value: string | null;
}

export interface ScriptsDraft {
  readonly on: boolean;
  readonly pre: string;
  readonly preArguments: string;
  readonly post: string;
  readonly postArguments: string;
  readonly timeoutSeconds: string;
  readonly onlyForBackups: boolean;
  readonly ignoreMissing: boolean;
  readonly ignoreExitCodes: boolean;
}

export interface ReplicaDraft {
  /** Empty: every Region no other row names. */
  readonly regions: readonly string[];
  readonly accountId: string;
  readonly region: string;
  readonly encrypt: boolean;
  readonly kmsKey: string;
  readonly keyUsage: KeyUsage;
}

export interface CustomTag {
  readonly key: string;
  readonly value: string;
}

/** A policy while it is being written. Numbers are as typed. */
export interface PolicyDraft {
  readonly kind: PolicyKind;
  readonly name: string;
  readonly description: string;
  readonly enabled: boolean;
  readonly priority: number | null;
  readonly accountId: string;
  readonly regions: readonly string[];
  readonly all: boolean;
  readonly resourceIds: readonly string[];
  readonly tags: readonly TagCondition[];
  readonly excludedResourceIds: readonly string[];
  readonly excludedTags: readonly TagCondition[];
  readonly excludeSystemVolume: boolean;
  readonly excludedVolumeIds: string;
  readonly excludedVolumeTags: readonly TagCondition[];
  readonly applicationAware: boolean;
  readonly linux: ScriptsDraft;
  readonly windows: ScriptsDraft;
  readonly repositoryId: string;
  readonly archiveRepositoryId: string;
  readonly replicas: readonly ReplicaDraft[];
  readonly scheduled: boolean;
  readonly schedule: ScheduleDraft;
  /** What is kept of runs started by hand where no schedule says so. */
  readonly byHand: { readonly snapshots: string; readonly replicas: string; readonly backups: PeriodDraft; readonly archives: PeriodDraft };
  readonly slaTemplateId: string;
  readonly storageTemplateId: string;
  readonly copyTags: boolean;
  readonly customTags: readonly CustomTag[];
  readonly retryAttempts: string;
  readonly notify: boolean;
  readonly recipients: string;
  readonly onSuccess: boolean;
  readonly onWarning: boolean;
  readonly onFailure: boolean;
  readonly lastAttemptOnly: boolean;
  readonly onlyMissed: boolean;
  /** `09:00`; empty: as soon as it is known. */
  readonly mailAt: string;
  readonly verify: boolean;
  readonly healthChecked: boolean;
  readonly ordinal: Ordinal;
  readonly weekday: Weekday;
}

const NO_SCRIPTS: ScriptsDraft = {
  on: false,
  pre: "",
  preArguments: "",
  post: "",
  postArguments: "",
  timeoutSeconds: "600",
  onlyForBackups: false,
  ignoreMissing: false,
  ignoreExitCodes: false,
};

export function newReplica(accountId: string): ReplicaDraft {
  return { regions: [], accountId, region: "", encrypt: false, kmsKey: "", keyUsage: "ALL" };
}

export function newDraft(kind: PolicyKind, timezone: string): PolicyDraft {
  return {
    kind,
    name: "",
    description: "",
    enabled: true,
    priority: null,
    accountId: "",
    regions: [],
    all: true,
    resourceIds: [],
    tags: [],
    excludedResourceIds: [],
    excludedTags: [],
    excludeSystemVolume: false,
    excludedVolumeIds: "",
    excludedVolumeTags: [],
    applicationAware: false,
    linux: NO_SCRIPTS,
    windows: NO_SCRIPTS,
    repositoryId: "",
    archiveRepositoryId: "",
    replicas: [],
    scheduled: true,
    schedule: newSchedule(timezone),
    byHand: { snapshots: "7", replicas: "7", backups: { amount: "30", unit: "DAYS" }, archives: { amount: "12", unit: "MONTHS" } },
    slaTemplateId: "",
    storageTemplateId: "",
    copyTags: true,
    customTags: [],
    retryAttempts: "3",
    notify: false,
    recipients: "",
    onSuccess: false,
    onWarning: true,
    onFailure: true,
    lastAttemptOnly: true,
    onlyMissed: true,
    mailAt: "",
    verify: false,
    healthChecked: true,
    ordinal: "FIRST",
    weekday: "SUNDAY",
  };
}

export function draftOf(policy: PolicyDetail, timezone: string): PolicyDraft {
  const { scope, schedule, guest, notifications, retention } = policy;
  const fresh = newDraft(policy.kind, timezone);
  return {
    ...fresh,
    name: policy.name,
    description: policy.description,
    enabled: policy.enabled,
    priority: policy.priority,
    accountId: scope.account.id,
    regions: scope.regions,
    all: scope.mode === "ALL",
    resourceIds: scope.resources.map((resource) => resource.id),
    tags: scope.tags.map(condition),
    excludedResourceIds: scope.excludedResources.map((resource) => resource.id),
    excludedTags: scope.excludedTags.map(condition),
    excludeSystemVolume: scope.excludedVolumes.system,
    excludedVolumeIds: scope.excludedVolumes.volumeIds.join(", "),
    excludedVolumeTags: scope.excludedVolumes.tags.map(condition),
    applicationAware: guest.applicationAware,
    linux: scriptsOf(guest.linux),
    windows: scriptsOf(guest.windows),
    repositoryId: policy.repository?.id ?? "",
    archiveRepositoryId: policy.archiveRepository?.id ?? "",
    replicas: policy.replicas.map((target) => ({ ...target, accountId: target.account?.id ?? "", kmsKey: target.kmsKey ?? "" })),
    scheduled: policy.kind === "SLA" || schedule !== null,
    schedule: schedule ? scheduleDraftOf(schedule) : fresh.schedule,
    byHand: {
      snapshots: String(retention.snapshots),
      replicas: String(retention.replicas),
      backups: { amount: String(retention.backups.amount), unit: retention.backups.unit },
      archives: { amount: String(retention.archives.amount), unit: retention.archives.unit },
    },
    slaTemplateId: policy.slaTemplate?.id ?? "",
    storageTemplateId: policy.storageTemplate?.id ?? "",
    copyTags: policy.copyTags,
    customTags: policy.tags,
    retryAttempts: String(policy.retryAttempts),
    ...(notifications
      ? {
          notify: true,
          recipients: notifications.recipients.join("; "),
          onSuccess: notifications.onSuccess,
          onWarning: notifications.onWarning,
          onFailure: notifications.onFailure,
          lastAttemptOnly: notifications.lastAttemptOnly,
          onlyMissed: notifications.onlyMissed,
          mailAt: notifications.atMinute === null ? "" : minuteName(notifications.atMinute),
        }
      : {}),
    verify: policy.verify,
    healthChecked: policy.healthCheck !== null,
    ordinal: policy.healthCheck?.ordinal ?? "FIRST",
    weekday: policy.healthCheck?.weekday ?? "SUNDAY",
  };
}

function condition({ key, value }: { key: string; value: string | null }): TagCondition {
  return { key, value };
}

function scriptsOf(scripts: ScriptsPartsFragment | null): ScriptsDraft {
  if (!scripts) return NO_SCRIPTS;
  return {
    on: true,
    pre: scripts.pre?.path ?? "",
    preArguments: scripts.pre?.arguments ?? "",
    post: scripts.post?.path ?? "",
    postArguments: scripts.post?.arguments ?? "",
    timeoutSeconds: String(scripts.timeoutSeconds),
    onlyForBackups: scripts.onlyForBackups,
    ignoreMissing: scripts.ignoreMissing,
    ignoreExitCodes: scripts.ignoreExitCodes,
  };
}

export function placesOf(draft: PolicyDraft): Places {
  return { REPLICA: draft.replicas.length > 0, BACKUP: draft.repositoryId !== "", ARCHIVE: draft.archiveRepositoryId !== "" };
}

/** Can backups come of it? An SLA policy says so by its storage template. */
export function makesBackups(draft: PolicyDraft): boolean {
  return draft.kind === "SLA" ? draft.storageTemplateId !== "" : draft.repositoryId !== "";
}

/** Does somebody run it, rather than a clock? */
export function onlyByHand(draft: PolicyDraft): boolean {
  return draft.kind === "SCHEDULE" && !draft.scheduled;
}

export function inputOf(draft: PolicyDraft): PolicyInput {
  const scheduled = draft.kind === "SCHEDULE";
  const { byHand } = draft;
  return {
    name: draft.name.trim(),
    description: draft.description.trim(),
    workload: "ec2",
    kind: draft.kind,
    enabled: draft.enabled,
    priority: draft.priority,
    scope: {
      accountId: draft.accountId,
      regions: draft.regions,
      mode: draft.all ? "ALL" : "LISTED",
      resourceIds: draft.all ? [] : draft.resourceIds,
      tags: draft.all ? [] : complete(draft.tags),
      excludedResourceIds: draft.excludedResourceIds,
      excludedTags: complete(draft.excludedTags),
      excludedVolumes: {
        system: draft.excludeSystemVolume,
        volumeIds: wordsOf(draft.excludedVolumeIds),
        tags: complete(draft.excludedVolumeTags),
      },
    },
    guest: { applicationAware: draft.applicationAware, linux: scriptsInput(draft.linux), windows: scriptsInput(draft.windows) },
    schedule: scheduled && draft.scheduled ? scheduleInputOf(draft.schedule, placesOf(draft)) : null,
    slaTemplateId: scheduled ? null : draft.slaTemplateId || null,
    storageTemplateId: scheduled ? null : draft.storageTemplateId || null,
    repositoryId: scheduled ? draft.repositoryId || null : null,
    archiveRepositoryId: scheduled ? draft.archiveRepositoryId || null : null,
    replicas: draft.replicas
      .filter((target) => target.accountId !== "")
      .map(({ regions, accountId, region, encrypt, kmsKey, keyUsage }) => ({
        regions,
        accountId,
        region,
        encrypt,
        kmsKey: encrypt ? kmsKey.trim() || null : null,
        keyUsage,
      })),
    retention: {
      snapshots: Number(byHand.snapshots),
      replicas: Number(byHand.replicas),
      backups: { amount: Number(byHand.backups.amount), unit: byHand.backups.unit },
      archives: { amount: Number(byHand.archives.amount), unit: byHand.archives.unit },
    },
    copyTags: draft.copyTags,
    tags: draft.customTags.filter((tag) => tag.key.trim() !== ""),
    retryAttempts: Number(draft.retryAttempts),
    notifications: draft.notify ? notificationsInput(draft) : null,
    verify: makesBackups(draft) && draft.verify,
    // The SLA template brings its own.
    healthCheck: scheduled && makesBackups(draft) && draft.healthChecked ? { ordinal: draft.ordinal, weekday: draft.weekday } : null,
  };
}

/** Conditions that say something: a row whose key is still empty matches nothing. */
function complete(tags: readonly TagCondition[]): TagMatchInput[] {
  return tags.filter((tag) => tag.key.trim() !== "");
}

function scriptsInput(draft: ScriptsDraft): ScriptsInput | null {
  if (!draft.on) return null;
  const script = (path: string, words: string) => (path.trim() === "" ? null : { path: path.trim(), arguments: words });
  return {
    pre: script(draft.pre, draft.preArguments),
    post: script(draft.post, draft.postArguments),
    timeoutSeconds: Number(draft.timeoutSeconds),
    onlyForBackups: draft.onlyForBackups,
    ignoreMissing: draft.ignoreMissing,
    ignoreExitCodes: draft.ignoreExitCodes,
  };
}

function notificationsInput(draft: PolicyDraft): NonNullable<PolicyInput["notifications"]> {
  const sla = draft.kind === "SLA";
  return {
    recipients: wordsOf(draft.recipients),
    onSuccess: draft.onSuccess,
    onWarning: draft.onWarning,
    onFailure: draft.onFailure,
    lastAttemptOnly: draft.lastAttemptOnly,
    onlyMissed: sla && draft.onlyMissed,
    atMinute: sla ? minutesOf(draft.mailAt) : null,
  };
}

/**
 * What cannot even be sent to the server, by its input path: numbers that are none, choices not made yet.
 * Everything else is judged by the server alone (`previewPolicy`).
 */
export function unsendable(draft: PolicyDraft): Record<string, string> {
  const found: Record<string, string> = {};
  if (draft.accountId === "") found["scope.accountId"] = "Choose an AWS account.";
  draft.replicas.forEach((target, index) => {
    if (target.accountId === "") found[`replicas.${index}.accountId`] = "Choose an AWS account.";
  });
  for (const [name, scripts] of [["linux", draft.linux], ["windows", draft.windows]] as const) {
    if (scripts.on) wholeNumber(found, `guest.${name}.timeoutSeconds`, scripts.timeoutSeconds, 5, 172_800);
  }
  if (draft.kind === "SCHEDULE") {
    if (draft.scheduled) Object.assign(found, scheduleNumbers(draft.schedule, placesOf(draft)));
    wholeNumber(found, "retention.snapshots", draft.byHand.snapshots, 0, 1000);
    wholeNumber(found, "retention.replicas", draft.byHand.replicas, 0, 1000);
    wholeNumber(found, "retention.backups", draft.byHand.backups.amount, 1, 36135);
    wholeNumber(found, "retention.archives", draft.byHand.archives.amount, 1, 36135);
  } else if (draft.notify && draft.mailAt.trim() !== "" && minutesOf(draft.mailAt) === null) {
    found["notifications.atMinute"] = "Enter a time such as 09:00.";
  }
  wholeNumber(found, "retryAttempts", draft.retryAttempts, 0, 9);
  return found;
}
