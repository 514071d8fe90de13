import Box from "@cloudscape-design/components/box";
import { SessionsDocument, type SessionKind, type SessionOrderField, type SessionRowFragment, type State } from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { size } from "../../format/size";
import { SESSION_KIND, STATE, storedWord } from "../../format/words";
import { ListTable, type Choice, type Column } from "../../listing/ListTable";
import type { ListShape } from "../../listing/address";
import { useListView } from "../../listing/useListView";
import { EmptyState } from "../../ui/EmptyState";
import { Progress, StateIndicator } from "../../ui/indicators";
import { RouterButton, RouterLink } from "../../ui/RouterLink";
import { SessionKindName } from "../../ui/SessionKindName";
import { Took, When } from "../../ui/When";

const shape: ListShape<SessionOrderField> = {
  fields: ["CREATED_AT", "NAME", "STARTED_AT", "ENDED_AT"],
  sort: "CREATED_AT",
  descending: true,
  choices: ["state", "kind"],
};

const choices: readonly Choice[] = [
  { name: "state", label: "Status", options: Object.entries(STATE).map(([value, label]) => ({ value, label })) },
  { name: "kind", label: "Kind", options: Object.entries(SESSION_KIND).map(([value, label]) => ({ value, label })) },
];

export const sessionColumns: readonly Column<SessionRowFragment>[] = [
  {
    id: "name",
    header: "Session",
    sortingField: "NAME",
    isRowHeader: true,
    minWidth: 160,
    cell: (session) => <RouterLink to={paths.session(session.id)}>{session.name}</RouterLink>,
  },
  { id: "kind", header: "Kind", minWidth: 125, cell: (session) => <SessionKindName kind={session.kind} /> },
  {
    id: "state",
    header: "Status",
    minWidth: 120,
    cell: (session) => <StateIndicator state={session.state} cancelling={session.cancelRequested} />,
  },
  {
    id: "progress",
    header: "Progress",
    minWidth: 125,
    cell: (session) => (
      <Progress state={session.state} done={session.progressDone} total={session.progressTotal} label={`Progress of ${session.name}`} />
    ),
  },
  {
    id: "created",
    header: "Created",
    sortingField: "CREATED_AT",
    minWidth: 150,
    cell: (session) => (
      <div>
        <When at={session.createdAt} />
        <Box color="text-body-secondary" fontSize="body-s">
          by {session.requestedBy}
        </Box>
      </div>
    ),
  },
  { id: "took", header: "Duration", cell: (session) => <Took from={session.startedAt} to={session.endedAt} /> },
  {
    id: "data",
    header: "Data",
    minWidth: 125,
    cell: (session) =>
      session.bytesRead === 0 && session.bytesStored === 0 ? (
        "–"
      ) : (
        <div>
          {session.bytesRead > 0 && <div className="hf-number">{size(session.bytesRead)} read</div>}
          {session.bytesStored > 0 && (
            <div className="hf-number">
              {size(session.bytesStored)} {storedWord(session.kind).toLowerCase()}
            </div>
          )}
        </div>
      ),
  },
];

/** Sessions as a list; on a policy's page only its own. */
export function SessionTable({ policyId }: { policyId?: string }) {
  const list = useListView(shape);
  const { state, kind } = list.view.choices;
  const answer = useData(
    SessionsDocument,
    {
      first: list.size,
      offset: list.offset,
      filter: {
        search: list.view.search || undefined,
        state: state && state in STATE ? [state as State] : undefined,
        kind: kind && kind in SESSION_KIND ? [kind as SessionKind] : undefined,
        policyId,
      },
      order: [{ field: list.view.sort, direction: list.view.descending ? "DESC" : "ASC" }],
    },
    { live: ["session"], everyMs: 5_000 },
  );
  return (
    <ListTable
      title="Sessions"
      noun="session"
      variant={policyId ? "container" : "full-page"}
      description={policyId ? undefined : "Everything the appliance did or is doing: policy runs, restores, rescans, checks."}
      columns={policyId ? sessionColumns.filter((column) => column.id !== "kind") : sessionColumns}
      answer={answer}
      items={answer.data?.sessions.edges.map((edge) => edge.node) ?? []}
      total={answer.data?.sessions.totalCount}
      list={list}
      choices={policyId ? choices.slice(0, 1) : choices}
      searchHint="Find by name"
      trackBy={(session) => session.id}
      nameOf={(session) => session.name}
      empty={
        policyId ? (
          <EmptyState title="Not run yet" text="Start the policy, or wait for its schedule." />
        ) : (
          <EmptyState title="No session yet" text="Rescans, policy runs and restores appear here.">
            <RouterButton to={paths.resources}>Go to resources</RouterButton>
          </EmptyState>
        )
      }
    />
  );
}

export default function Sessions() {
  return (
    <Page title="Sessions" contentType="table">
      <SessionTable />
    </Page>
  );
}
