import type { PolicyKind } from "../../../api/generated";
import { plainPath, type Problems } from "../../../api/fields";

export type StepId = "name" | "sources" | "resources" | "guest" | "targets" | "protection" | "schedule" | "tags" | "settings" | "cost" | "review";

const STEPS: Record<PolicyKind, readonly StepId[]> = {
  SCHEDULE: ["name", "sources", "resources", "guest", "targets", "schedule", "tags", "settings", "cost", "review"],
  SLA: ["name", "sources", "resources", "guest", "protection", "tags", "settings", "cost", "review"],
};

export function stepsOf(kind: PolicyKind): readonly StepId[] {
  return STEPS[kind];
}

/** Which fields a step asks for, as the beginnings of their input paths. */
const FIELDS: Record<StepId, readonly string[]> = {
  name: ["name", "description", "kind", "enabled", "priority"],
  sources: ["scope.accountId", "scope.regions"],
  resources: ["scope"],
  guest: ["guest"],
  targets: ["repositoryId", "archiveRepositoryId", "replicas"],
  protection: ["slaTemplateId", "storageTemplateId", "replicas"],
  schedule: ["schedule", "retention"],
  tags: ["tags", "copyTags"],
  settings: ["retryAttempts", "retries", "notifications", "verify", "healthCheck"],
  cost: [],
  review: [],
};

/** The step of a field; null when no step asks for it. `scope.regions.0` belongs to sources, `scope.tags` to resources. */
export function stepOf(path: string, kind: PolicyKind): StepId | null {
  const plain = plainPath(path);
  return stepsOf(kind).find((step) => FIELDS[step].some((field) => plain === field || plain.startsWith(`${field}.`))) ?? null;
}

/** The problems of one step. What no step asks for is shown in the review. */
export function problemsIn(step: StepId, problems: Problems, kind: PolicyKind): Problems {
  return Object.fromEntries(Object.entries(problems).filter(([path]) => (stepOf(path, kind) ?? "review") === step));
}
