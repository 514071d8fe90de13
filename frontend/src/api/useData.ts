import { useCallback, useEffect, useRef, useState } from "react";
import { useClient, useMutation, useQuery, type AnyVariables, type OperationResult, type TypedDocumentNode } from "urql";
import { useActivity, type ActivityKind } from "../app/activity";
import { newKey } from "./key";
import { problemOf, type Problem } from "./errors";

interface Options {
  /** Kinds of activity after which the data is asked for again. */
  readonly live?: readonly ActivityKind[];
  /** Ask again this often, too; for what changes without an activity, such as progress. */
  readonly everyMs?: number;
  readonly pause?: boolean;
}

export interface Answer<Data> {
  readonly data: Data | undefined;
  /** Nothing to show yet. */
  readonly loading: boolean;
  readonly problem: Problem | null;
  readonly refresh: () => void;
  readonly refreshing: boolean;
}

const RETRY_MS = 5_000;

/** A query that keeps itself current. */
export function useData<Data, Variables extends AnyVariables>(
  query: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  options: Options = {},
): Answer<Data> {
  const [state, execute] = useQuery<Data, Variables>({
    query,
    variables,
    pause: options.pause,
    requestPolicy: "cache-and-network",
  } as Parameters<typeof useQuery<Data, Variables>>[0]);
  const refresh = useCallback(() => execute({ requestPolicy: "network-only" }), [execute]);
  useActivity(options.pause ? [] : (options.live ?? []), refresh);

  const problem = problemOf(state.error);
  const period = options.pause ? undefined : problem?.code === "UNREACHABLE" ? RETRY_MS : options.everyMs;
  const latest = useRef(refresh);
  latest.current = refresh;
  useEffect(() => {
    if (period === undefined) return undefined;
    const timer = window.setInterval(() => {
      if (document.visibilityState === "visible") latest.current();
    }, period);
    return () => window.clearInterval(timer);
  }, [period]);

  return {
    data: state.data,
    loading: state.data === undefined && !state.error,
    problem: state.data === undefined ? problem : null,
    refresh,
    refreshing: state.fetching,
  };
}

export interface Command<Data, Variables> {
  /** Sent as `clientMutationId`: a request that is repeated because its answer was lost does nothing a second time. */
  readonly key: string;
  readonly run: (variables: Variables) => Promise<{ data: Data | null; problem: Problem | null }>;
  readonly busy: boolean;
  readonly problem: Problem | null;
  readonly reset: () => void;
}

/** A mutation with its state: what is under way, what went wrong last. */
export function useCommand<Data, Variables extends AnyVariables>(document: TypedDocumentNode<Data, Variables>): Command<Data, Variables> {
  const [, execute] = useMutation<Data, Variables>(document);
  return useRequest(execute);
}

/** A query that is asked when the person goes on, not when the page is shown. */
export function useQuestion<Data, Variables extends AnyVariables>(document: TypedDocumentNode<Data, Variables>): Command<Data, Variables> {
  const client = useClient();
  const execute = useCallback(
    (variables: Variables) => client.query<Data, Variables>(document, variables, { requestPolicy: "network-only" }).toPromise(),
    [client, document],
  );
  return useRequest(execute);
}

function useRequest<Data, Variables extends AnyVariables>(
  execute: (variables: Variables) => Promise<OperationResult<Data, Variables>>,
): Command<Data, Variables> {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [key] = useState(newKey);
  const run = useCallback(
    async (variables: Variables) => {
      setBusy(true);
      setProblem(null);
      const result = await execute(variables);
      const refused = problemOf(result.error);
      setBusy(false);
      setProblem(refused);
      return { data: refused ? null : (result.data ?? null), problem: refused };
    },
    [execute],
  );
  const reset = useCallback(() => setProblem(null), []);
  return { run, busy, problem, reset, key };
}

/** All pages of a list, up to `limit` entries; for choices that are matched in the page. */
export function useAllPages<Data, Variables extends AnyVariables, Item>(
  query: TypedDocumentNode<Data, Variables>,
  variablesAt: (after: string | null) => Variables,
  read: (data: Data) => { items: readonly Item[]; next: string | null; total: number },
  key: string,
  limit: number,
): { items: readonly Item[]; total: number; loading: boolean; problem: Problem | null } {
  const client = useClient();
  const [state, setState] = useState<{ items: readonly Item[]; total: number; loading: boolean; problem: Problem | null }>({
    items: [],
    total: 0,
    loading: true,
    problem: null,
  });
  const parts = useRef({ variablesAt, read });
  parts.current = { variablesAt, read };
  useEffect(() => {
    let stopped = false;
    if (key === "") return undefined;
    async function load(): Promise<void> {
      let items: readonly Item[] = [];
      let after: string | null = null;
      do {
        const answer = await client.query(query, parts.current.variablesAt(after), { requestPolicy: "network-only" });
        if (stopped) return;
        if (!answer.data) {
          setState({ items, total: items.length, loading: false, problem: problemOf(answer.error) });
          return;
        }
        const page = parts.current.read(answer.data);
        items = [...items, ...page.items];
        after = page.next;
        setState({ items, total: page.total, loading: after !== null && items.length < limit, problem: null });
      } while (after !== null && items.length < limit);
    }
    setState({ items: [], total: 0, loading: true, problem: null });
    void load();
    return () => {
      stopped = true;
    };
  }, [client, key, limit, query]);
  return state;
}
