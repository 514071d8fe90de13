import type { AccountRegionsQuery, PolicyChoicesQuery, ScopeCandidatesQuery } from "../../../api/generated";
import type { Problem } from "../../../api/errors";
import type { PolicyDraft } from "../draft";
import type { PreviewAnswer } from "./usePreview";

export type Candidate = ScopeCandidatesQuery["resources"]["edges"][number]["node"];

export interface StepProps {
  readonly draft: PolicyDraft;
  readonly change: (part: Partial<PolicyDraft>) => void;
  /** The sentence to show at a field, by its input path, or any beneath it. */
  readonly error: (...paths: string[]) => string | undefined;
  readonly choices: PolicyChoicesQuery;
  readonly regions: AccountRegionsQuery["regions"];
  readonly regionsLoading: boolean;
  readonly candidates: { readonly items: readonly Candidate[]; readonly loading: boolean; readonly problem: Problem | null };
  /** Names of resources by id, also of those no longer found. */
  readonly names: ReadonlyMap<string, string>;
  readonly answer: PreviewAnswer;
  /** The policy being edited; null: a new one. */
  readonly policyId: string | null;
}
