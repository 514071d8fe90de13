import { useCallback, useEffect, useMemo, useState } from "react";
import {
  AccountRegionsDocument,
  CreatePolicyDocument,
  ScopeCandidatesDocument,
  UpdatePolicyDocument,
  type PolicyChoicesQuery,
  type PolicyKind,
} from "../../../api/generated";
import type { Problem } from "../../../api/errors";
import type { Problems } from "../../../api/fields";
import { useAllPages, useCommand, useData } from "../../../api/useData";
import { draftOf, inputOf, newDraft, unsendable, type PolicyDetail, type PolicyDraft } from "../draft";
import { withInherited } from "./scheduleDraft";
import type { StepProps } from "./stepProps";
import { usePreview, type Preview } from "./usePreview";

/** Instances offered for choice; in an account with more, tags are the better choice. */
const OFFERED = 2_000;
const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;

interface Writing extends Omit<StepProps, "error" | "policyId" | "choices"> {
  /** All that stands against saving it, as far as known. */
  readonly problems: Problems;
  /** Ask the server about the draft as it is now. */
  readonly check: () => Promise<Problems>;
  readonly save: () => Promise<{ id: string } | null>;
  readonly saving: boolean;
  /** Why it was not saved. */
  readonly refused: Problem | null;
}

/** A policy being written: the draft, what there is to choose from, and what the server makes of it. */
export function useDraft(policy: PolicyDetail | null, kind: PolicyKind, choices: PolicyChoicesQuery): Writing {
  const [draft, setDraft] = useState<PolicyDraft>(() => (policy ? draftOf(policy, HERE) : startingDraft(kind, choices)));
  const [refused, setRefused] = useState<Problem | null>(null);
  const create = useCommand(CreatePolicyDocument);
  const update = useCommand(UpdatePolicyDocument);
  const regions = useData(AccountRegionsDocument, { accountId: draft.accountId }, { pause: draft.accountId === "" });
  const candidates = useCandidates(draft.accountId);
  const own = useMemo(() => unsendable(draft), [draft]);
  const input = useMemo(() => (Object.keys(own).length === 0 ? inputOf(draft) : null), [draft, own]);
  const answer = usePreview(input, policy?.id ?? null);

  // A new policy begins with the Regions that hold something: what most people want, and easy to change.
  useEffect(() => {
    if (policy || draft.regions.length > 0 || !regions.data) return;
    const used = regions.data.regions.filter((region) => region.resourceCount > 0).map((region) => region.name);
    if (used.length > 0) setDraft((now) => (now.regions.length > 0 ? now : { ...now, regions: used }));
  }, [draft.regions.length, policy, regions.data]);

  // Times that a schedule takes over from a more frequent one are filled in as the server says.
  const inherited = answer.preview?.inherited;
  useEffect(() => {
    if (!inherited || answer.pending) return;
    setDraft((now) => {
      const schedule = withInherited(now.schedule, inherited);
      return schedule === now.schedule ? now : { ...now, schedule };
    });
  }, [answer.pending, inherited]);

  const names = useMemo(() => {
    const known = new Map(candidates.items.map((resource) => [resource.id, resource.name]));
    policy?.scope.resources.forEach((resource) => known.set(resource.id, resource.name));
    policy?.scope.excludedResources.forEach((resource) => known.set(resource.id, resource.name));
    return known;
  }, [candidates.items, policy]);

  const change = useCallback((part: Partial<PolicyDraft>) => {
    setDraft((now) => ({ ...now, ...part }));
    setRefused(null);
  }, []);

  const problems = useMemo(() => ({ ...problemsOf(answer.preview), ...refused?.fields, ...own }), [answer.preview, own, refused]);

  async function check(): Promise<Problems> {
    // What cannot be sent is known here; the rest is asked with the numbers that are missing left at their beginnings.
    if (!input) return { ...problemsOf(answer.preview), ...own };
    return problemsOf(await answer.ask(input));
  }

  async function save(): Promise<{ id: string } | null> {
    if (!input) return null;
    const result = policy
      ? await update.run({ input: { id: policy.id, edition: policy.edition, policy: input } })
      : await create.run({ input: { ...input, clientMutationId: create.key } });
    setRefused(result.problem);
    if (!result.data) return null;
    return "createPolicy" in result.data ? result.data.createPolicy.policy : result.data.updatePolicy.policy;
  }

  return {
    draft,
    change,
    regions: regions.data?.regions ?? [],
    regionsLoading: regions.loading,
    candidates,
    names,
    answer,
    problems,
    check,
    save,
    saving: create.busy || update.busy,
    refused,
  };
}

function useCandidates(accountId: string): StepProps["candidates"] {
  return useAllPages(
    ScopeCandidatesDocument,
    (after) => ({ accountId, after }),
    ({ resources }) => ({
      items: resources.edges.map((edge) => edge.node),
      next: resources.pageInfo.hasNextPage ? (resources.pageInfo.endCursor ?? null) : null,
      total: resources.totalCount,
    }),
    accountId,
    OFFERED,
  );
}

function problemsOf(preview: Preview | null): Problems {
  return Object.fromEntries((preview?.problems ?? []).map(({ path, message }) => [path, message]));
}

function startingDraft(kind: PolicyKind, choices: PolicyChoicesQuery): PolicyDraft {
  const accounts = choices.accounts.edges.map((edge) => edge.node);
  const zone = choices.timezones.includes(HERE) ? HERE : "UTC";
  return { ...newDraft(kind, zone), accountId: (accounts.find((account) => account.isHome) ?? accounts[0])?.id ?? "" };
}
