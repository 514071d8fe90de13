import { useCallback, useEffect, useMemo, useState } from "react";
import { useSearchParams } from "react-router";
import { readView, writeView, type ListShape, type ListView } from "./address";

const PAGE_SIZE_KEY = "holdfast.page-size";
export const PAGE_SIZES = [20, 50, 100] as const;
const SEARCH_PAUSE_MS = 300;

export interface ListControl<Field extends string> {
  readonly view: ListView<Field>;
  readonly size: number;
  readonly offset: number;
  /** What stands in the search box, which runs ahead of `view.search` while the person types. */
  readonly typed: string;
  readonly type: (text: string) => void;
  readonly choose: (name: string, value: string) => void;
  readonly order: (sort: Field, descending: boolean) => void;
  readonly turnTo: (page: number) => void;
  readonly resize: (size: number) => void;
  readonly clear: () => void;
  readonly filtered: boolean;
}

/** A list's search, filters, order and page; the address holds them, so a link or a reload shows the same rows. */
export function useListView<Field extends string>(shape: ListShape<Field>): ListControl<Field> {
  const [params, setParams] = useSearchParams();
  const view = useMemo(() => readView(params, shape), [params, shape]);
  const [size, setSize] = useState(storedSize);
  const [typed, setTyped] = useState(view.search);

  const change = useCallback(
    (part: Partial<ListView<Field>>, replace = false) =>
      setParams((now) => writeView(now, { ...readView(now, shape), page: 1, ...part }, shape), { replace }),
    [setParams, shape],
  );

  useEffect(() => setTyped(view.search), [view.search]);
  useEffect(() => {
    if (typed === view.search) return undefined;
    const timer = window.setTimeout(() => change({ search: typed }, true), SEARCH_PAUSE_MS);
    return () => window.clearTimeout(timer);
  }, [change, typed, view.search]);

  return {
    view,
    size,
    offset: (view.page - 1) * size,
    typed,
    type: setTyped,
    choose: (name, value) => change({ choices: { ...view.choices, [name]: value } }),
    order: (sort, descending) => change({ sort, descending }),
    turnTo: (page) => change({ page }),
    resize(next) {
      localStorage.setItem(PAGE_SIZE_KEY, String(next));
      setSize(next);
      change({}, true);
    },
    clear() {
      setTyped("");
      change({ search: "", choices: {} });
    },
    filtered: view.search !== "" || Object.values(view.choices).some(Boolean),
  };
}

function storedSize(): number {
  const stored = Number(localStorage.getItem(PAGE_SIZE_KEY));
  return PAGE_SIZES.find((size) => size === stored) ?? PAGE_SIZES[0];
}
