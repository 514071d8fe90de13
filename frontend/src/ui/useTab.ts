import { useSearchParams } from "react-router";

/** The selected tab, held by the address. */
export function useTab(ids: readonly [string, ...string[]]): [string, (id: string) => void] {
  const [params, setParams] = useSearchParams();
  const given = params.get("tab") ?? "";
  const current = ids.includes(given) ? given : ids[0];
  return [
    current,
    // A list on the former tab leaves its search and page behind: they mean nothing to the next one.
    (id) => setParams(id === ids[0] ? {} : { tab: id }, { replace: true }),
  ];
}
