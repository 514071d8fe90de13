import { useCollection } from "@cloudscape-design/collection-hooks";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import ExpandableSection from "@cloudscape-design/components/expandable-section";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import Pagination from "@cloudscape-design/components/pagination";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table, { type TableProps } from "@cloudscape-design/components/table";
import type { CostPartsFragment, Leg } from "../../api/generated";
import { LEGS } from "../../format/calendar";
import { usd } from "../../format/money";
import { gib } from "../../format/size";
import { count } from "../../format/text";
import { EmptyState } from "../../ui/EmptyState";
import { LegName } from "../../ui/LegName";
import { saveText } from "../../ui/saveText";

type Row = CostPartsFragment["rows"][number];
interface Line {
  readonly key: string;
  readonly name: string;
  readonly line: Row["lines"][number];
}

const ROWS_PER_PAGE = 10;

/** What a policy is expected to cost a month: in all, by instance, line by line, and what that rests on. */
export function EstimateTable({ estimate, name }: { estimate: CostPartsFragment; name: string }) {
  return (
    <SpaceBetween size="l">
      <Container
        header={
          <Header
            variant="h2"
            description="A month, once everything that is kept has filled up. List prices, before tax and discounts."
            actions={
              <Button iconName="download" onClick={() => saveText(`${name}-cost.csv`, estimate.csv, "text/csv")}>
                Download as CSV
              </Button>
            }
          >
            Expected cost: {usd(estimate.usd)}
          </Header>
        }
      >
        <KeyValuePairs
          columns={4}
          items={estimate.legs.map(({ leg, usd: amount, parts }) => ({
            label: <LegName leg={leg} />,
            value: (
              <div>
                <Box variant="h3" tagOverride="div">
                  {usd(amount)}
                </Box>
                {parts.map((part) => (
                  <Box key={part.component} color="text-body-secondary" fontSize="body-s">
                    {COMPONENT[part.component]}: {usd(part.usd)}
                  </Box>
                ))}
              </div>
            ),
          }))}
        />
        {estimate.legs.length === 0 && (
          <EmptyState title="Nothing to estimate yet" text="Once the policy covers instances and makes something of them, its cost is shown here." />
        )}
      </Container>
      <ByInstance estimate={estimate} />
      <LineByLine estimate={estimate} />
      <Basis estimate={estimate} />
    </SpaceBetween>
  );
}

const COMPONENT: Record<CostPartsFragment["legs"][number]["parts"][number]["component"], string> = {
  STORAGE: "Storage",
  BASE: "Held for the next backup",
  TRANSFER: "Transfer",
  REQUESTS: "Requests",
  EARLY_DELETION: "Early deletion",
};

function ByInstance({ estimate }: { estimate: CostPartsFragment }) {
  const legs = LEGS.filter((leg) => estimate.legs.some((each) => each.leg === leg));
  const { items, collectionProps, paginationProps } = useCollection(estimate.rows, { pagination: { pageSize: ROWS_PER_PAGE }, sorting: {} });
  const columns: TableProps.ColumnDefinition<Row>[] = [
    {
      id: "name",
      header: "Instance",
      sortingField: "name",
      isRowHeader: true,
      minWidth: 150,
      cell: (row) => (
        <div>
          {row.name}
          <Box color="text-body-secondary" fontSize="body-s">
            {gib(row.sizeBytes)} in {row.region}; {changePhrase(row, estimate)}
          </Box>
        </div>
      ),
    },
    ...legs.map((leg) => ({ id: leg, header: <LegName leg={leg} />, cell: (row: Row) => <span className="hf-number">{usd(of(row, leg))}</span> })),
    { id: "usd", header: "A month", sortingField: "usd", cell: (row) => <b className="hf-number">{usd(row.usd)}</b> },
  ];
  if (estimate.rows.length === 0) return null;
  return (
    <Table<Row>
      {...collectionProps}
      variant="container"
      wrapLines
      header={
        <Header
          variant="h2"
          counter={`(${estimate.resourceCount.toLocaleString("en-US")})`}
          description={
            estimate.rows.length < estimate.resourceCount ? `The ${estimate.rows.length} dearest are shown; the download has all.` : undefined
          }
        >
          By instance
        </Header>
      }
      items={items}
      trackBy="resourceId"
      columnDefinitions={columns}
      pagination={estimate.rows.length > ROWS_PER_PAGE && <Pagination {...paginationProps} />}
    />
  );
}

/** `2.1 % changes a day`; assumed while nothing was measured. */
function changePhrase(row: Row, { assumptions }: CostPartsFragment): string {
  if (!row.measured || row.change === null) return `${assumptions.change} % a day changes, assumed`;
  return `${row.change.toLocaleString("en-US", { maximumFractionDigits: 1 })} % a day changes`;
}

function of(row: Row, leg: Leg): number {
  return row.legs.find((each) => each.leg === leg)?.usd ?? 0;
}

function LineByLine({ estimate }: { estimate: CostPartsFragment }) {
  const lines: Line[] = estimate.rows.flatMap((row) => row.lines.map((line, index) => ({ key: `${row.resourceId} ${index}`, name: row.name, line })));
  const { items, collectionProps, paginationProps } = useCollection(lines, { pagination: { pageSize: ROWS_PER_PAGE }, sorting: {} });
  if (lines.length === 0) return null;
  return (
    <ExpandableSection variant="container" headerText="Line by line" headerCounter={`(${lines.length.toLocaleString("en-US")})`}>
      <Table<Line>
        {...collectionProps}
        variant="embedded"
        contentDensity="compact"
        wrapLines
        items={items}
        trackBy="key"
        columnDefinitions={[
          { id: "name", header: "Instance", sortingField: "name", isRowHeader: true, cell: ({ name }) => name },
          { id: "leg", header: "For", cell: ({ line }) => <LegName leg={line.leg} /> },
          { id: "what", header: "What", minWidth: 200, cell: ({ line }) => line.what },
          {
            id: "quantity",
            header: "Quantity",
            cell: ({ line }) => (
              <span className="hf-number">
                {line.quantity.toLocaleString("en-US", { maximumFractionDigits: 2 })} {line.unit}
              </span>
            ),
          },
          { id: "usd", header: "A month", cell: ({ line }) => <span className="hf-number">{usd(line.usd)}</span> },
        ]}
        pagination={lines.length > ROWS_PER_PAGE && <Pagination {...paginationProps} />}
      />
    </ExpandableSection>
  );
}

function Basis({ estimate }: { estimate: CostPartsFragment }) {
  const { assumptions, prices } = estimate;
  return (
    <ExpandableSection variant="container" headerText="What this rests on">
      <ul className="hf-sentences">
        <li>
          {count(estimate.measuredCount, "instance")} measured by their backups. For the others: {assumptions.used} % of a disk holds data,{" "}
          {assumptions.change} % of it changes a day, {assumptions.stored} % of what is read is left when it is stored.
        </li>
        {prices.map((each) => (
          <li key={each.region}>
            {each.title || each.region}: {each.source === "PRICE_LIST" ? "prices of the AWS price list" : "prices that came with Holdfast"}, {each.published}
            {each.exact ? "." : "; this Region's own prices are unknown, so those of a dear one are used."}
          </li>
        ))}
        {estimate.notes.map((note) => (
          <li key={note}>{note}</li>
        ))}
      </ul>
      
    </ExpandableSection>
  );
}
