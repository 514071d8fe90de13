/** What a list shows, as held by the page's address: search, choices, order and page. */
export interface ListView<Field extends string> {
  readonly search: string;
  readonly choices: Readonly<Record<string, string>>;
  readonly sort: Field;
  readonly descending: boolean;
  readonly page: number;
}

export interface ListShape<Field extends string> {
  readonly fields: readonly Field[];
  readonly sort: Field;
  readonly descending: boolean;
  /** Names of the filters besides the search text. */
  readonly choices: readonly string[];
}

/** Reads a view from an address; anything that makes no sense is as if it were not there. */
export function readView<Field extends string>(params: URLSearchParams, shape: ListShape<Field>): ListView<Field> {
  const [name = "", direction] = (params.get("sort") ?? "").split(":");
  const field = shape.fields.find((each) => each.toLowerCase() === name);
  const page = Number(params.get("page") ?? "1");
  return {
    search: params.get("search") ?? "",
    choices: Object.fromEntries(
      shape.choices.flatMap((choice) => {
        const value = params.get(choice);
        return value ? [[choice, value]] : [];
      }),
    ),
    sort: field ?? shape.sort,
    descending: field ? direction === "desc" : shape.descending,
    page: Number.isInteger(page) && page >= 1 ? page : 1,
  };
}

/** Writes a view into an address, leaving out what is as by default and keeping what belongs to others (tabs). */
export function writeView<Field extends string>(
  params: URLSearchParams,
  view: ListView<Field>,
  shape: ListShape<Field>,
): URLSearchParams {
  const next = new URLSearchParams(params);
  const set = (name: string, value: string): void => {
    if (value) next.set(name, value);
    else next.delete(name);
  };
  set("search", view.search);
  for (const choice of shape.choices) set(choice, view.choices[choice] ?? "");
  const usual = view.sort === shape.sort && view.descending === shape.descending;
  set("sort", usual ? "" : `${view.sort.toLowerCase()}:${view.descending ? "desc" : "asc"}`);
  set("page", view.page > 1 ? String(view.page) : "");
  return next;
}
