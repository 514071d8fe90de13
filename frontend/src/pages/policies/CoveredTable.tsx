import Box from "@cloudscape-design/components/box";
import Header from "@cloudscape-design/components/header";
import Spinner from "@cloudscape-design/components/spinner";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Table from "@cloudscape-design/components/table";
import { paths } from "../../app/paths";
import { gib } from "../../format/size";
import { count } from "../../format/text";
import { EmptyState } from "../../ui/EmptyState";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { RouterLink } from "../../ui/RouterLink";
import type { PreviewAnswer } from "./wizard/usePreview";

interface CoveredTableProps {
  readonly answer: PreviewAnswer;
  readonly coveredOnly?: boolean;
  /** Names lead to the resources' pages: not while something is being written. */
  readonly linked?: boolean;
}

/** Whom the policy, as it stands, protects right now, and why; judged by the server. */
export function CoveredTable({ answer, coveredOnly = false, linked = false }: CoveredTableProps) {
  const { preview, pending, problem } = answer;
  if (problem && !preview) return <ProblemAlert header="The preview cannot be shown" problem={problem} />;
  const all = preview?.covered ?? [];
  const rows = coveredOnly ? all.filter((each) => each.covered) : [...all].sort((left, right) => Number(right.covered) - Number(left.covered));
  const covered = preview?.coveredCount ?? 0;
  return (
    <Table
      variant="container"
      contentDensity="compact"
      wrapLines
      header={
        <Header
          variant="h2"
          counter={preview ? `(${covered.toLocaleString("en-US")})` : undefined}
          description="As of the last rescan. New instances are taken in by themselves."
          actions={pending ? <Spinner /> : undefined}
        >
          Protected by this policy
        </Header>
      }
      loading={!preview && pending}
      loadingText="Looking"
      skeleton={{ totalRows: 4 }}
      items={rows}
      trackBy={(each) => each.resource.id}
      columnDefinitions={[
        {
          id: "name",
          header: "Instance",
          isRowHeader: true,
          cell: (each) => (linked ? <RouterLink to={paths.resource(each.resource.id)}>{each.resource.name}</RouterLink> : each.resource.name),
        },
        { id: "region", header: "Region", cell: (each) => <span className="hf-nowrap">{each.resource.region}</span> },
        { id: "size", header: "Size", cell: (each) => <span className="hf-number">{gib(each.resource.sizeBytes)}</span> },
        {
          id: "covered",
          header: "Protected",
          cell: (each) => (
            <StatusIndicator wrapText={false} type={each.covered ? "success" : "stopped"}>
              {each.covered ? "Yes" : "No"}
            </StatusIndicator>
          ),
        },
        { id: "why", header: "Why", minWidth: 180, cell: (each) => each.reason },
      ]}
      footer={
        covered > 0 && (
          <Box>
            {count(covered, "instance")}, {gib(preview?.totalBytes ?? 0)} together.
            {covered > rows.filter((each) => each.covered).length && ` The first ${rows.length} rows are shown.`}
          </Box>
        )
      }
      empty={<EmptyState title="Nothing is covered yet" text="Choose the account, its Regions and instances. The policy can be saved all the same." />}
    />
  );
}
