import { useCollection } from "@cloudscape-design/collection-hooks";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import Pagination from "@cloudscape-design/components/pagination";
import Table from "@cloudscape-design/components/table";
import type { EstimatePolicyQuery } from "../../api/generated";
import { usd } from "../../format/money";
import { local } from "../../format/time";
import { EmptyState } from "../../ui/EmptyState";
import { LegName } from "../../ui/LegName";
import { saveText } from "../../ui/saveText";

type Estimate = EstimatePolicyQuery["estimatePolicy"];
type Line = Estimate["lines"][number];

const LINES_PER_PAGE = 20;

/** What the policy is expected to cost a month, line by line, to look at and to take along. */
export function EstimateTable({ estimate, name }: { estimate: Estimate; name: string }) {
  const { items, collectionProps, paginationProps } = useCollection(estimate.lines, {
    pagination: { pageSize: LINES_PER_PAGE },
    sorting: {},
  });
  return (
    <Table<Line>
      {...collectionProps}
      variant="container"
      wrapLines
      header={
        <Header
          variant="h2"
          counter={`(about ${usd(estimate.totalUsd)} a month)`}
          description={`Prices of ${local(estimate.priceDate).split(",")[0]}, ${estimate.priceSource}.`}
          actions={
            <Button iconName="download" onClick={() => saveText(`${name}-cost.csv`, estimate.csv, "text/csv")}>
              Download as CSV
            </Button>
          }
        >
          Expected cost
        </Header>
      }
      items={items}
      columnDefinitions={[
        { id: "resource", header: "Instance", isRowHeader: true, sortingComparator: (left, right) => nameOf(left).localeCompare(nameOf(right)), cell: nameOf },
        { id: "leg", header: "For", cell: (line) => (line.leg ? <LegName leg={line.leg} /> : "–") },
        { id: "what", header: "What", minWidth: 180, cell: (line) => line.what },
        {
          id: "quantity",
          header: "Quantity",
          cell: (line) => (
            <span className="hf-number">
              {line.quantity.toLocaleString("en-US", { maximumFractionDigits: 2 })} {line.unit}
            </span>
          ),
        },
        { id: "usd", header: "A month", sortingField: "usdPerMonth", cell: (line) => <span className="hf-number">{usd(line.usdPerMonth)}</span> },
      ]}
      pagination={estimate.lines.length > LINES_PER_PAGE && <Pagination {...paginationProps} />}
      footer={
        estimate.totals.length > 0 && (
          <div className="hf-legend-row">
            {estimate.totals.map((total) => (
              <Box key={`${total.leg} ${total.what}`} fontSize="body-s">
                {total.what}: <b>{usd(total.usdPerMonth)}</b>
              </Box>
            ))}
          </div>
        )
      }
      empty={<EmptyState title="Nothing to estimate yet" text="Once the policy covers instances and makes something of them, its cost is shown here." />}
    />
  );
}

function nameOf(line: Line): string {
  return line.resource?.name ?? "All";
}
