/**
 * Which resources a policy's scope covers, and why: the same rules and sentences as the server's (domain/policy.py), so that
 * the preview moves with every click. What is saved is decided by the server alone.
 */
export interface TagCondition {
  readonly key: string;
  /** null: any value of the key. */
  readonly value: string | null;
}

export interface ScopeDraft {
  readonly regions: readonly string[];
  readonly all: boolean;
  readonly resourceIds: readonly string[];
  readonly tags: readonly TagCondition[];
  readonly excludedResourceIds: readonly string[];
  readonly excludedTags: readonly TagCondition[];
}

export interface Candidate {
  readonly id: string;
  readonly name: string;
  readonly awsId: string;
  readonly region: string;
  readonly sizeBytes: number;
  readonly tags: readonly { readonly key: string; readonly value: string }[];
  /** Each enabled policy and whether it protects the resource now. */
  readonly protection: readonly { readonly covered: boolean; readonly policy: Ranked & { readonly name: string } }[];
}

/** A policy's place among all: the smaller number goes first, then the older policy. */
export interface Ranked {
  readonly id: string;
  readonly priority: number;
  readonly createdAt: string;
}

export interface Verdict {
  readonly covered: boolean;
  readonly reason: string;
}

/** The verdict, minus what policies that go before `self` protect already; `self` null: a new policy, last of all. */
export function verdictAmong(scope: ScopeDraft, resource: Candidate, self: Ranked | null): Verdict {
  const own = verdict(scope, resource);
  if (!own.covered) return own;
  const holder = resource.protection.find((each) => each.covered && each.policy.id !== self?.id && goesBefore(each.policy, self));
  return holder ? no(`The resource is already protected by another policy: ${holder.policy.name}`) : own;
}

function goesBefore(other: Ranked, self: Ranked | null): boolean {
  if (self === null || other.priority < self.priority) return true;
  return other.priority === self.priority && other.createdAt < self.createdAt;
}

export function verdict(scope: ScopeDraft, resource: Candidate): Verdict {
  if (!scope.regions.includes(resource.region)) return no(`Region ${resource.region} is not selected.`);
  if (scope.excludedResourceIds.includes(resource.id)) return no("Excluded by name.");
  const exclusion = complete(scope.excludedTags).find((tag) => matches(tag, resource));
  if (exclusion) return no(`Excluded by tag ${tagText(exclusion)}.`);
  if (scope.all) return yes(`All instances in ${resource.region} are selected.`);
  if (scope.resourceIds.includes(resource.id)) return yes("Selected by name.");
  const inclusion = complete(scope.tags).find((tag) => matches(tag, resource));
  if (inclusion) return yes(`Selected by tag ${tagText(inclusion)}.`);
  return no("Neither named nor matched by a tag of the policy.");
}

/** Conditions that say something: a row whose key is still empty matches nothing. */
export function complete(tags: readonly TagCondition[]): TagCondition[] {
  return tags.filter((tag) => tag.key.trim() !== "");
}

export function tagText(tag: TagCondition): string {
  return tag.value === null ? tag.key : `${tag.key}=${tag.value}`;
}

function matches(tag: TagCondition, resource: Candidate): boolean {
  return resource.tags.some((own) => own.key === tag.key && (tag.value === null || own.value === tag.value));
}

function yes(reason: string): Verdict {
  return { covered: true, reason };
}

function no(reason: string): Verdict {
  return { covered: false, reason };
}
