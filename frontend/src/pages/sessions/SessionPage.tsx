import { useEffect, useState } from "react";
import { useCollection } from "@cloudscape-design/collection-hooks";
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs, { type KeyValuePairsProps } from "@cloudscape-design/components/key-value-pairs";
import ProgressBar from "@cloudscape-design/components/progress-bar";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Pagination from "@cloudscape-design/components/pagination";
import Table, { type TableProps } from "@cloudscape-design/components/table";
import TextFilter from "@cloudscape-design/components/text-filter";
import { useParams } from "react-router";
import { CancelSessionDocument, SessionDetailDocument, type SessionDetailQuery, type State } from "../../api/generated";
import { useCommand, useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { elapsed } from "../../format/time";
import { count } from "../../format/text";
import { percent, rate, size } from "../../format/size";
import { isFinal, storedWord, taskKind } from "../../format/words";
import { Confirm } from "../../ui/Confirm";
import { EmptyState } from "../../ui/EmptyState";
import { Progress, StateIndicator } from "../../ui/indicators";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { RouterButton, RouterLink } from "../../ui/RouterLink";
import { Waiting } from "../../ui/Waiting";
import { SessionKindName } from "../../ui/SessionKindName";
import { Took, useNow, When } from "../../ui/When";
import NotFound from "../NotFound";
import { LegStates } from "./LegStates";
import { SessionLog } from "./SessionLog";

type SessionDetail = Extract<NonNullable<SessionDetailQuery["node"]>, { __typename: "Session" }>;
type Task = SessionDetail["tasks"][number];

const REFRESH_MS = 1_500;

export default function SessionPage() {
  const { id = "" } = useParams();
  return <Detail key={id} id={id} />;
}

function Detail({ id }: { id: string }) {
  const [over, setOver] = useState(false);
  const answer = useData(SessionDetailDocument, { id }, { live: ["session"], everyMs: over ? undefined : REFRESH_MS });
  const node = answer.data?.node;
  const session = node?.__typename === "Session" ? node : null;
  const ended = session !== null && isFinal(session.state);
  useEffect(() => setOver(ended), [ended]);

  if (answer.problem?.code === "NOT_FOUND" || (answer.data && !session)) return <NotFound what="session" />;
  return (
    <Page title={session?.name ?? "Session"} above={[{ text: "Sessions", href: paths.sessions }]}>
      {answer.problem && <ProblemAlert header="The session cannot be shown" problem={answer.problem} onRetry={answer.refresh} />}
      {answer.loading && <Waiting />}
      {session && (
        <SpaceBetween size="l">
          <Heading session={session} onChanged={answer.refresh} />
          <Summary session={session} />
          <Tasks session={session} />
          <SessionLog sessionId={session.id} name={session.name} />
        </SpaceBetween>
      )}
    </Page>
  );
}

function Heading({ session, onChanged }: { session: SessionDetail; onChanged: () => void }) {
  const [asking, setAsking] = useState(false);
  const cancel = useCommand(CancelSessionDocument);
  const running = !isFinal(session.state);
  return (
    <>
      <Header
        variant="h1"
        description={
          <>
            <SessionKindName kind={session.kind} />
            {session.reason && ` · ${session.reason}`}
          </>
        }
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            {session.policy && <RouterButton to={paths.policy(session.policy.id)}>Show policy</RouterButton>}
            {running && (
              <Button onClick={() => setAsking(true)} disabled={session.cancelRequested}>
                Cancel session
              </Button>
            )}
          </SpaceBetween>
        }
      >
        {session.name}
      </Header>
      {asking && running && (
        <Confirm
          title="Cancel this session?"
          action="Cancel session"
          busy={cancel.busy}
          problem={cancel.problem}
          onClose={() => setAsking(false)}
          onConfirm={() => {
            void cancel.run({ input: { id: session.id } }).then(({ problem }) => {
              if (!problem) setAsking(false);
              onChanged();
            });
          }}
        >
          What is under way stops within seconds and what was half made is removed. Restore points that are already complete stay.
        </Confirm>
      )}
    </>
  );
}

function Summary({ session }: { session: SessionDetail }) {
  const now = useNow(isFinal(session.state) ? null : 1_000);
  const seconds = elapsed(session.startedAt, session.endedAt, now) ?? 0;
  const speed = rate(session.bytesRead, seconds);
  const running = !isFinal(session.state);
  const items: KeyValuePairsProps.Pair[] = [
    { label: "Status", value: <StateIndicator state={session.state} cancelling={session.cancelRequested} /> },
    { label: "Started", value: <When at={session.startedAt} none="Not yet" /> },
    { label: running ? "Running for" : "Duration", value: <Took from={session.startedAt} to={session.endedAt} /> },
    { label: "Data read", value: session.bytesRead > 0 ? `${size(session.bytesRead)}${speed ? ` (${speed})` : ""}` : "–" },
    { label: storedWord(session.kind), value: session.bytesStored > 0 ? size(session.bytesStored) : "–" },
    { label: "Started by", value: session.requestedBy === "schedule" ? "Schedule" : session.requestedBy },
  ];
  const failed = session.tasks.filter((task) => task.state === "ERROR");
  return (
    <Container header={<Header variant="h2">Summary</Header>}>
      <SpaceBetween size="l">
        <KeyValuePairs columns={3} items={items} />
        {running && session.progressTotal > 0 && (
          <ProgressBar
            label="Progress"
            value={percent(session.progressDone, session.progressTotal)}
            additionalInfo={`${size(session.progressDone)} of ${size(session.progressTotal)}`}
          />
        )}
        {failed.length > 0 && (
          <Alert type="error" header={failed.length === 1 ? "One part failed" : `${failed.length} parts failed`}>
            {failed.slice(0, 3).map((task) => (
              <div key={task.id}>
                <strong>{task.name}:</strong> {task.message}
              </div>
            ))}
          </Alert>
        )}
      </SpaceBetween>
    </Container>
  );
}

const TASKS_PER_PAGE = 10;
const URGENCY: Record<State, number> = { ERROR: 0, WARNING: 1, RUNNING: 2, PENDING: 3, CANCELLED: 4, SUCCESS: 5 };

function Tasks({ session }: { session: SessionDetail }) {
  const over = isFinal(session.state);
  const { items, collectionProps, paginationProps, filterProps, filteredItemsCount } = useCollection(session.tasks, {
    filtering: {
      fields: ["name", "message"],
      empty: over ? (
        <EmptyState title="There was nothing to do" text="No resource was in the session's scope." />
      ) : (
        <EmptyState title="Being planned" text="The parts appear in a moment." />
      ),
      noMatch: <EmptyState title="Nothing matches" text="No part matches the search." />,
    },
    pagination: { pageSize: TASKS_PER_PAGE },
    sorting: {},
  });
  const many = session.tasks.length > TASKS_PER_PAGE;
  return (
    <Table<Task>
      {...collectionProps}
      variant="container"
      wrapLines
      header={<Header counter={`(${session.tasks.length})`}>Parts</Header>}
      filter={
        many && (
          <TextFilter
            {...filterProps}
            filteringPlaceholder="Find by name or note"
            filteringAriaLabel="Find parts"
            countText={filteredItemsCount === undefined ? undefined : count(filteredItemsCount, "part")}
          />
        )
      }
      pagination={many && <Pagination {...paginationProps} />}
      items={items}
      trackBy="id"
      columnDefinitions={columnsFor(session)}
    />
  );
}

/** Where tasks have legs, these say what is done; elsewhere the kind of work does. */
function columnsFor(session: SessionDetail): TableProps.ColumnDefinition<Task>[] {
  const legs = session.tasks.some((task) => task.legs.length > 0);
  return TASK_COLUMNS.filter((column) => column.id !== (legs ? "kind" : "legs")).map((column) =>
    column.id === "data" ? { ...column, cell: (task) => <Data task={task} stored={storedWord(session.kind).toLowerCase()} /> } : column,
  );
}

const TASK_COLUMNS: TableProps.ColumnDefinition<Task>[] = [
  {
    id: "name",
    header: "Name",
    sortingField: "name",
    isRowHeader: true,
    minWidth: 150,
    cell: (task) => (task.resource ? <RouterLink to={paths.resource(task.resource.id)}>{task.name}</RouterLink> : task.name),
  },
  { id: "kind", header: "Work", minWidth: 110, cell: (task) => taskKind(task.kind) },
  {
    id: "state",
    header: "Status",
    minWidth: 120,
    sortingComparator: (left, right) => URGENCY[left.state] - URGENCY[right.state],
    cell: (task) => <StateIndicator state={task.state} />,
  },
  { id: "legs", header: "Legs", minWidth: 135, cell: (task) => <LegStates legs={task.legs} /> },
  {
    id: "progress",
    header: "Progress",
    minWidth: 130,
    cell: (task) => <Progress state={task.state} done={task.progressDone} total={task.progressTotal} label={`Progress of ${task.name}`} />,
  },
  { id: "data", header: "Data", minWidth: 120, cell: () => null },
  { id: "took", header: "Duration", cell: (task) => <Took from={task.startedAt} to={task.endedAt} /> },
  {
    id: "message",
    header: "Note",
    minWidth: 145,
    cell: (task) => (
      <Box color={task.state === "ERROR" ? "text-status-error" : "text-body-secondary"}>
        {task.message || "–"}
        {task.attempt > 0 && !isFinal(task.state) ? ` (try ${task.attempt + 1})` : ""}
      </Box>
    ),
  },
];

function Data({ task, stored }: { task: Task; stored: string }) {
  if (task.bytesRead === 0 && task.bytesStored === 0) return <>–</>;
  return (
    <div>
      {task.bytesRead > 0 && <div className="hf-number">{size(task.bytesRead)} read</div>}
      {task.bytesStored > 0 && (
        <div className="hf-number">
          {size(task.bytesStored)} {stored}
        </div>
      )}
    </div>
  );
}
