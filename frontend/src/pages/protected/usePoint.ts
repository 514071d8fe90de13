import { PointDetailDocument, PolicyChoicesDocument, RestoreTargetsDocument, AccountRegionsDocument, type PointDetailQuery } from "../../api/generated";
import type { Problem } from "../../api/errors";
import { useData } from "../../api/useData";

export type PointDetail = Extract<NonNullable<PointDetailQuery["node"]>, { __typename: "RestorePoint" }>;

/** A restore point, for its page and for the wizards that work from it. */
export function usePoint(id: string): { point: PointDetail | null; missing: boolean; loading: boolean; problem: Problem | null; refresh: () => void } {
  const answer = useData(PointDetailDocument, { id }, { live: ["restore_point"] });
  const node = answer.data?.node;
  const point = node?.__typename === "RestorePoint" ? node : null;
  return {
    point,
    missing: answer.problem?.code === "NOT_FOUND" || (answer.data !== undefined && point === null),
    loading: answer.loading,
    problem: answer.problem,
    refresh: answer.refresh,
  };
}

/** Where a restore may go: accounts, the account's Regions, and what the Region offers. */
export function useTargets(accountId: string, region: string) {
  const choices = useData(PolicyChoicesDocument, {});
  const regions = useData(AccountRegionsDocument, { accountId }, { pause: accountId === "" });
  const targets = useData(RestoreTargetsDocument, { accountId, region }, { pause: accountId === "" || region === "" });
  return { accounts: choices.data?.accounts.edges.map((edge) => edge.node) ?? [], regions, targets };
}
