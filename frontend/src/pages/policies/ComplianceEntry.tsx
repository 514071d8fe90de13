import Box from "@cloudscape-design/components/box";
import Header from "@cloudscape-design/components/header";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Table from "@cloudscape-design/components/table";
import { ComplianceEntryDocument, type ComplianceEntryQuery, type Frequency, type Leg } from "../../api/generated";
import { useData } from "../../api/useData";
import { paths } from "../../app/paths";
import { count } from "../../format/text";
import { EmptyState } from "../../ui/EmptyState";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { RouterLink } from "../../ui/RouterLink";
import { When } from "../../ui/When";
import type { Entry } from "./Compliance";
import { percentText, SLA_STATE } from "./ComplianceState";
import { periodLabel } from "./periodLabel";

type Row = ComplianceEntryQuery["complianceEntry"][number];

interface ComplianceEntryProps {
  readonly policyId: string;
  readonly leg: Leg;
  readonly period: Frequency;
  readonly asItWas: boolean;
  readonly entry: Entry;
}

const SESSIONS_SHOWN = 4;

/** One bar, instance by instance: what was promised, what was made, and in which sessions. */
export function ComplianceEntryDetail({ policyId, leg, period, asItWas, entry }: ComplianceEntryProps) {
  const answer = useData(ComplianceEntryDocument, { policyId, leg, period, start: entry.start, asItWas });
  if (answer.problem) return <ProblemAlert header="The instances cannot be shown" problem={answer.problem} onRetry={answer.refresh} />;
  return (
    <Table<Row>
      variant="container"
      wrapLines
      loading={answer.loading}
      loadingText="Looking"
      header={
        <Header
          variant="h2"
          description={`${count(entry.met, "instance")} met, ${entry.missed.toLocaleString("en-US")} missed, ${entry.removed.toLocaleString("en-US")} removed meanwhile.`}
        >
          {periodLabel(entry, period)}: {percentText(entry.percent)}
        </Header>
      }
      items={answer.data?.complianceEntry ?? []}
      trackBy={(row) => row.resource.id}
      columnDefinitions={[
        {
          id: "name",
          header: "Instance",
          isRowHeader: true,
          minWidth: 150,
          cell: (row) => <RouterLink to={paths.protectedResource(row.resource.id)}>{row.resource.name}</RouterLink>,
        },
        { id: "region", header: "Region", cell: (row) => <span className="hf-nowrap">{row.resource.region}</span> },
        {
          id: "state",
          header: "Promise",
          minWidth: 120,
          cell: (row) =>
            row.removed ? (
              <StatusIndicator type="stopped">Removed</StatusIndicator>
            ) : (
              <StatusIndicator wrapText={false} type={SLA_STATE[row.state].type}>
                {SLA_STATE[row.state].text}
              </StatusIndicator>
            ),
        },
        {
          id: "made",
          header: "Made",
          cell: (row) => (
            <span className="hf-number">
              {row.made} of {row.expected}
            </span>
          ),
        },
        { id: "percent", header: "Share", cell: (row) => <span className="hf-number">{row.removed ? "–" : percentText(row.percent)}</span> },
        { id: "sessions", header: "Sessions", minWidth: 160, cell: (row) => <Sessions row={row} /> },
      ]}
      empty={<EmptyState title="No instance" text="The policy covered no instance in this period." />}
    />
  );
}

function Sessions({ row }: { row: Row }) {
  if (row.sessions.length === 0) return <Box color="text-body-secondary">None known any more</Box>;
  return (
    <div>
      {row.sessions.slice(0, SESSIONS_SHOWN).map((session) => (
        <div key={session.id}>
          <RouterLink to={paths.session(session.id)} fontSize="body-s">
            <When at={session.createdAt} />
          </RouterLink>
        </div>
      ))}
      {row.sessions.length > SESSIONS_SHOWN && (
        <Box color="text-body-secondary" fontSize="body-s">
          and {row.sessions.length - SESSIONS_SHOWN} more
        </Box>
      )}
    </div>
  );
}
