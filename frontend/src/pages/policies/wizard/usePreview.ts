import { useCallback, useEffect, useRef, useState } from "react";
import { useClient } from "urql";
import { PolicyPreviewDocument, type PolicyInput, type PolicyPreviewQuery } from "../../../api/generated";
import { problemOf, type Problem } from "../../../api/errors";

export type Preview = PolicyPreviewQuery["previewPolicy"];

/** What the server makes of the policy as it stands. */
export interface PreviewAnswer {
  readonly preview: Preview | null;
  /** It is on its way, for the draft as it is now. */
  readonly pending: boolean;
  readonly problem: Problem | null;
  /** Ask at once, and wait for the answer. */
  readonly ask: (input: PolicyInput) => Promise<Preview | null>;
}

const PAUSE_MS = 350;

/**
 * Asks the server about a draft after every change, a moment after the last key stroke. Answers that were overtaken are dropped.
 *
 * @param input null: it cannot be sent yet.
 */
export function usePreview(input: PolicyInput | null, id: string | null): PreviewAnswer {
  const client = useClient();
  const [preview, setPreview] = useState<Preview | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [pending, setPending] = useState(input !== null);
  const newest = useRef(0);

  const ask = useCallback(
    async (given: PolicyInput): Promise<Preview | null> => {
      newest.current += 1;
      const own = newest.current;
      setPending(true);
      const answer = await client.query(PolicyPreviewDocument, { input: given, id }, { requestPolicy: "network-only" });
      if (own !== newest.current) return answer.data?.previewPolicy ?? null;
      setPending(false);
      setProblem(problemOf(answer.error));
      if (answer.data) setPreview(answer.data.previewPolicy);
      return answer.data?.previewPolicy ?? null;
    },
    [client, id],
  );

  const text = input && JSON.stringify(input);
  useEffect(() => {
    if (text === null) return undefined;
    newest.current += 1;
    setPending(true);
    const timer = window.setTimeout(() => void ask(JSON.parse(text) as PolicyInput), PAUSE_MS);
    return () => window.clearTimeout(timer);
  }, [ask, text]);

  return { preview, pending: pending && input !== null, problem, ask };
}
