import { useMemo } from "react";
import Header from "@cloudscape-design/components/header";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Table from "@cloudscape-design/components/table";
import { count } from "../../format/schedule";
import { gib } from "../../format/size";
import { EmptyState } from "../../ui/EmptyState";
import { ProblemAlert } from "../../ui/ProblemAlert";
import type { PolicyDraft } from "./draft";
import { verdictAmong, type Ranked } from "./scope";
import type { StepProps } from "./steps";

const SHOWN = 50;

interface ScopePreviewProps {
  readonly draft: PolicyDraft;
  readonly candidates: StepProps["candidates"];
  readonly coveredOnly?: boolean;
  /** Where the policy stands among the others. */
  readonly rank: Ranked | null;
}

/** What the scope, as it stands, covers right now, and why. */
export function ScopePreview({ draft, candidates, rank, coveredOnly = false }: ScopePreviewProps) {
  const judged = useMemo(
    () =>
      candidates.items
        .map((resource) => ({ resource, ...verdictAmong(draft, resource, rank) }))
        .sort((left, right) => Number(right.covered) - Number(left.covered)),
    [candidates.items, draft, rank],
  );
  const covered = judged.filter((each) => each.covered);
  const bytes = covered.reduce((sum, each) => sum + each.resource.sizeBytes, 0);
  const rows = coveredOnly ? covered : judged;
  if (candidates.problem) return <ProblemAlert header="The preview cannot be shown" problem={candidates.problem} />;
  return (
    <Table
      variant="container"
      contentDensity="compact"
      header={
        <Header
          variant="h2"
          counter={`(${covered.length.toLocaleString("en-US")} of ${candidates.total.toLocaleString("en-US")})`}
          description={
            candidates.items.length < candidates.total && !candidates.loading
              ? `The first ${candidates.items.length.toLocaleString("en-US")} are looked at here; the policy looks at all.`
              : "As of the last rescan. New instances are taken in by themselves."
          }
        >
          Protected by this policy
        </Header>
      }
      loading={candidates.loading && rows.length === 0}
      loadingText="Looking"
      skeleton={{ totalRows: 4 }}
      items={rows.slice(0, SHOWN)}
      trackBy={(each) => each.resource.id}
      columnDefinitions={[
        { id: "name", header: "Instance", isRowHeader: true, cell: (each) => each.resource.name },
        { id: "region", header: "Region", cell: (each) => each.resource.region },
        { id: "size", header: "Size", cell: (each) => gib(each.resource.sizeBytes) },
        {
          id: "covered",
          header: "Protected",
          cell: (each) =>
            each.covered ? <StatusIndicator wrapText={false} type="success">Yes</StatusIndicator> : <StatusIndicator wrapText={false} type="stopped">No</StatusIndicator>,
        },
        { id: "why", header: "Why", cell: (each) => each.reason },
      ]}
      footer={
        covered.length > 0 && (
          <span>
            {count(covered.length, "instance")}, {gib(bytes)} together
            {rows.length > SHOWN && `; the first ${SHOWN} rows are shown`}.
          </span>
        )
      }
      empty={
        candidates.total === 0 ? (
          <EmptyState title="No instance is known in this account" text="Rescan it on the Resources page; the policy can be saved all the same." />
        ) : (
          <EmptyState title="Nothing is covered" text="Widen the Regions, or choose other instances or tags." />
        )
      }
    />
  );
}
