import type { ReactNode } from "react";
import Button from "@cloudscape-design/components/button";
import CollectionPreferences from "@cloudscape-design/components/collection-preferences";
import Header from "@cloudscape-design/components/header";
import Pagination from "@cloudscape-design/components/pagination";
import Select from "@cloudscape-design/components/select";
import Table, { type TableProps } from "@cloudscape-design/components/table";
import TextFilter from "@cloudscape-design/components/text-filter";
import type { Answer } from "../api/useData";
import { count } from "../format/text";
import { EmptyState } from "../ui/EmptyState";
import { ProblemAlert } from "../ui/ProblemAlert";
import { PAGE_SIZES, type ListControl } from "./useListView";
import "./listing.css";

export interface Column<Item> extends TableProps.ColumnDefinition<Item> {
  readonly id: string;
}

export interface Choice {
  readonly name: string;
  readonly label: string;
  /** What no choice means; without it, any. */
  readonly none?: string;
  readonly options: readonly { readonly value: string; readonly label: string }[];
}

interface ListTableProps<Item, Field extends string> {
  readonly title: string;
  /** What one row is: `policy`. */
  readonly noun: string;
  readonly description?: ReactNode;
  readonly actions?: ReactNode;
  readonly columns: readonly Column<Item>[];
  readonly answer: Answer<unknown>;
  readonly items: readonly Item[];
  readonly total: number | undefined;
  readonly list: ListControl<Field>;
  readonly choices?: readonly Choice[];
  readonly searchHint: string;
  readonly empty: ReactNode;
  readonly trackBy: (item: Item) => string;
  readonly nameOf: (item: Item) => string;
  readonly selection?: { readonly type: "single" | "multi"; readonly items: readonly Item[]; readonly onChange: (items: Item[]) => void };
  readonly variant?: "full-page" | "container" | "embedded";
  readonly headingLevel?: "awsui-h1-sticky" | "h2";
}

/** A table whose rows, order, filters and pages come from the server, and whose state is in the address. */
export function ListTable<Item, Field extends string>(props: ListTableProps<Item, Field>) {
  const { list, answer, items, total, selection } = props;
  const variant = props.variant ?? "full-page";
  const pages = Math.max(1, Math.ceil((total ?? 0) / list.size));
  if (answer.problem) return <ProblemAlert header={`${props.title} cannot be shown`} problem={answer.problem} onRetry={answer.refresh} />;
  return (
    <Table<Item>
      variant={variant}
      stickyHeader={variant === "full-page"}
      enableKeyboardNavigation
      columnDefinitions={props.columns}
      items={items}
      trackBy={props.trackBy}
      loading={answer.loading}
      loadingText={`Loading ${props.title.toLowerCase()}`}
      skeleton={{ totalRows: 8 }}
      wrapLines
      selectionType={selection?.type}
      selectedItems={selection?.items}
      onSelectionChange={({ detail }) => selection?.onChange(detail.selectedItems)}
      sortingColumn={{ sortingField: list.view.sort }}
      sortingDescending={list.view.descending}
      onSortingChange={({ detail }) => {
        if (detail.sortingColumn.sortingField) list.order(detail.sortingColumn.sortingField as Field, detail.isDescending ?? false);
      }}
      header={
        <Header
          variant={props.headingLevel ?? (variant === "full-page" ? "awsui-h1-sticky" : "h2")}
          counter={total === undefined ? undefined : `(${total.toLocaleString("en-US")})`}
          actions={props.actions}
          description={props.description}
        >
          {props.title}
        </Header>
      }
      filter={<Filters {...props} />}
      pagination={
        <Pagination
          currentPageIndex={Math.min(list.view.page, pages)}
          pagesCount={pages}
          disabled={answer.loading}
          onChange={({ detail }) => list.turnTo(detail.currentPageIndex)}
        />
      }
      preferences={
        <CollectionPreferences
          title="Preferences"
          confirmLabel="Confirm"
          cancelLabel="Cancel"
          preferences={{ pageSize: list.size }}
          pageSizePreference={{
            title: "Rows per page",
            options: PAGE_SIZES.map((size) => ({ value: size, label: `${size} rows` })),
          }}
          onConfirm={({ detail }) => list.resize(detail.pageSize ?? list.size)}
        />
      }
      empty={
        list.filtered ? (
          <EmptyState title="Nothing matches" text="No row matches the search and filters.">
            <Button onClick={list.clear}>Clear filters</Button>
          </EmptyState>
        ) : (
          props.empty
        )
      }
      ariaLabels={{
        tableLabel: props.title,
        selectionGroupLabel: "Selection",
        allItemsSelectionLabel: () => "Select all rows of this page",
        itemSelectionLabel: (_state, item) => `Select ${props.nameOf(item)}`,
      }}
    />
  );
}

function Filters<Item, Field extends string>({ list, choices = [], searchHint, total, noun }: ListTableProps<Item, Field>) {
  return (
    <div className="hf-filters">
      <div className="hf-filters-text">
        <TextFilter
          filteringText={list.typed}
          filteringPlaceholder={searchHint}
          filteringAriaLabel={searchHint}
          filteringClearAriaLabel="Clear the search"
          countText={list.filtered && total !== undefined ? count(total, noun) : undefined}
          onChange={({ detail }) => list.type(detail.filteringText)}
        />
      </div>
      {choices.map((choice) => {
        const options = [{ value: "", label: choice.none ?? `Any ${choice.label.toLowerCase()}` }, ...choice.options];
        const current = list.view.choices[choice.name] ?? "";
        return (
          <div className="hf-filters-choice" key={choice.name}>
            <Select
              ariaLabel={choice.label}
              options={options}
              selectedOption={options.find((option) => option.value === current) ?? options[0]!}
              onChange={({ detail }) => list.choose(choice.name, detail.selectedOption.value ?? "")}
              expandToViewport
            />
          </div>
        );
      })}
    </div>
  );
}
