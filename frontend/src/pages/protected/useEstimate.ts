import { useEffect, useState } from "react";
import { useClient } from "urql";
import { EstimateRetrievalDocument, type RetrievalMode } from "../../api/generated";
import { problemOf, type Problem } from "../../api/errors";
import { together, type Estimate } from "./archives";

/** Points looked at for the estimate; of more, what the first ones take and cost is shown. */
export const ESTIMATED_MAX = 10;
const TYPING_PAUSE_MS = 400;

interface EstimateState {
  readonly estimate: Estimate | null;
  readonly problem: Problem | null;
  readonly busy: boolean;
}

/** What retrieving these points would take and cost, asked again when the choice changes. `days` 0: not known yet. */
export function useEstimate(ids: readonly string[], mode: RetrievalMode, days: number, disks: readonly string[] | null): EstimateState {
  const client = useClient();
  const [state, setState] = useState<EstimateState>({ estimate: null, problem: null, busy: true });
  const key = JSON.stringify({ ids: ids.slice(0, ESTIMATED_MAX), disks });
  useEffect(() => {
    if (days === 0) return undefined;
    let stopped = false;
    const asked = JSON.parse(key) as { ids: string[]; disks: string[] | null };
    async function ask(): Promise<void> {
      const found: Estimate[] = [];
      for (const pointId of asked.ids) {
        const variables = { pointId, mode, days, disks: asked.disks };
        const answer = await client.query(EstimateRetrievalDocument, variables, { requestPolicy: "network-only" });
        if (stopped) return;
        if (!answer.data) {
          setState({ estimate: null, problem: problemOf(answer.error), busy: false });
          return;
        }
        found.push(answer.data.estimateRetrieval);
      }
      setState({ estimate: together(found), problem: null, busy: false });
    }
    setState((now) => ({ ...now, problem: null, busy: true }));
    const timer = window.setTimeout(() => void ask(), TYPING_PAUSE_MS);
    return () => {
      stopped = true;
      window.clearTimeout(timer);
    };
  }, [client, days, key, mode]);
  return state;
}
