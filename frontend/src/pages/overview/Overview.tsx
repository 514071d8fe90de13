import { useMemo } from "react";
import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import Skeleton from "@cloudscape-design/components/skeleton";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import { OverviewDocument, type OverviewQuery, type State } from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { size } from "../../format/size";
import { isFinal, STATE } from "../../format/words";
import { EmptyState } from "../../ui/EmptyState";
import { Figure, Progress, StateIndicator } from "../../ui/indicators";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { RouterButton, RouterLink } from "../../ui/RouterLink";
import { SessionKindName } from "../../ui/SessionKindName";
import { Took, When } from "../../ui/When";
import { Attention } from "./Attention";
import { Ring } from "./Ring";

const DAY_MS = 24 * 3600 * 1000;
type Session = OverviewQuery["overview"]["lastSessions"][number];

export default function Overview() {
  // The minute is enough: a variable that changes at every render would ask the server at every render.
  const since = useMemo(() => new Date(Math.floor((Date.now() - DAY_MS) / 60_000) * 60_000).toISOString(), []);
  const answer = useData(
    OverviewDocument,
    { since },
    { live: ["session", "policy", "repository", "account", "resource", "restore_point"], everyMs: 10_000 },
  );
  const { data, problem } = answer;
  return (
    <Page title="Overview" contentType="dashboard">
      <SpaceBetween size="l">
        <Header
          variant="h1"
          description="What is protected, what is running, and what needs you."
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <RouterButton to={paths.protectedData}>Restore</RouterButton>
              <RouterButton to={paths.newPolicy} variant="primary">
                Create policy
              </RouterButton>
            </SpaceBetween>
          }
        >
          Overview
        </Header>
        {problem && <ProblemAlert header="The overview cannot be shown" problem={problem} onRetry={answer.refresh} />}
        {!problem && (data ? <Figures data={data} /> : <FiguresWaiting />)}
        {data && <Attention data={data} />}
        {data && data.overview.runningSessions.length > 0 && <Running sessions={data.overview.runningSessions} />}
        {!problem && <Recent sessions={data?.overview.lastSessions.filter((session) => isFinal(session.state))} />}
      </SpaceBetween>
    </Page>
  );
}

function Figures({ data }: { data: OverviewQuery }) {
  const { overview } = data;
  return (
    <div className="hf-figures">
      <Container fitHeight header={<Header variant="h2">Protection</Header>}>
        <Ring
          label="Share of resources covered by a policy"
          centre={overview.resourceCount === 0 ? "–" : `${Math.floor((overview.protectedCount / overview.resourceCount) * 100)}%`}
          parts={[
            { label: "Covered by a policy", value: overview.protectedCount, color: "#1b9c6c", to: `${paths.resources}?protection=PROTECTED` },
            {
              label: "Not covered",
              value: Math.max(0, overview.resourceCount - overview.protectedCount),
              color: "#d9a300",
              to: `${paths.resources}?protection=UNPROTECTED`,
            },
          ]}
        />
      </Container>
      <Container fitHeight header={<Header variant="h2">Sessions in the last day</Header>}>
        <Ring
          label="Sessions of the last 24 hours by result"
          centre={String(overview.sessionsLastDay.reduce((sum, each) => sum + each.count, 0))}
          parts={STATES.map(({ state, color }) => ({
            label: STATE[state],
            value: overview.sessionsLastDay.find((each) => each.state === state)?.count ?? 0,
            color,
            to: `${paths.sessions}?state=${state}`,
          })).filter((part) => part.value > 0)}
        />
      </Container>
      <Container fitHeight header={<Header variant="h2">Data</Header>}>
        <div className="hf-figures-data">
          <Figure label="Protected size">{size(overview.sourceBytes)}</Figure>
          <Figure label="Stored in repositories">{size(overview.storedBytes)}</Figure>
          <Figure label="Restore points">
            <RouterLink to={paths.protectedData} fontSize="inherit">
              {overview.pointCount.toLocaleString("en-US")}
            </RouterLink>
          </Figure>
          <Figure label="Policies">
            <RouterLink to={paths.policies} fontSize="inherit">
              {overview.policyCount.toLocaleString("en-US")}
            </RouterLink>
          </Figure>
        </div>
      </Container>
    </div>
  );
}

const STATES: readonly { state: State; color: string }[] = [
  { state: "SUCCESS", color: "#1b9c6c" },
  { state: "RUNNING", color: "#0972d3" },
  { state: "PENDING", color: "#8fa3b8" },
  { state: "WARNING", color: "#d9a300" },
  { state: "ERROR", color: "#d91515" },
  { state: "CANCELLED", color: "#7d8998" },
];

function FiguresWaiting() {
  return (
    <div className="hf-figures">
      {["Protection", "Sessions in the last day", "Data"].map((title) => (
        <Container key={title} fitHeight header={<Header variant="h2">{title}</Header>}>
          <Skeleton height="116px" />
        </Container>
      ))}
    </div>
  );
}

function Running({ sessions }: { sessions: readonly Session[] }) {
  return (
    <Table
      header={<Header counter={`(${sessions.length})`}>Running now</Header>}
      items={sessions}
      trackBy="id"
      variant="container"
      wrapLines
      columnDefinitions={[
        { id: "name", header: "Session", isRowHeader: true, cell: (session) => <SessionLink session={session} /> },
        { id: "kind", header: "Kind", cell: (session) => <SessionKindName kind={session.kind} /> },
        { id: "state", header: "Status", cell: (session) => <StateIndicator state={session.state} cancelling={session.cancelRequested} /> },
        {
          id: "progress",
          header: "Progress",
          minWidth: 260,
          cell: (session) => (
            <Progress state={session.state} done={session.progressDone} total={session.progressTotal} label={`Progress of ${session.name}`} />
          ),
        },
        { id: "took", header: "Running for", cell: (session) => <Took from={session.startedAt ?? session.createdAt} to={session.endedAt} /> },
      ]}
    />
  );
}

function Recent({ sessions }: { sessions: readonly Session[] | undefined }) {
  return (
    <Table
      header={
        <Header actions={<RouterButton to={paths.sessions}>All sessions</RouterButton>} description="What ended last, newest first.">
          Recent sessions
        </Header>
      }
      loading={!sessions}
      loadingText="Loading sessions"
      skeleton={{ totalRows: 4 }}
      items={sessions ?? []}
      trackBy="id"
      variant="container"
      wrapLines
      columnDefinitions={[
        { id: "name", header: "Session", isRowHeader: true, cell: (session) => <SessionLink session={session} /> },
        { id: "kind", header: "Kind", cell: (session) => <SessionKindName kind={session.kind} /> },
        { id: "state", header: "Status", cell: (session) => <StateIndicator state={session.state} cancelling={session.cancelRequested} /> },
        { id: "at", header: "Started", cell: (session) => <When at={session.startedAt ?? session.createdAt} ago /> },
        { id: "took", header: "Duration", cell: (session) => <Took from={session.startedAt} to={session.endedAt} /> },
        { id: "read", header: "Read", cell: (session) => <Bytes bytes={session.bytesRead} /> },
        { id: "stored", header: "Stored", cell: (session) => <Bytes bytes={session.bytesStored} /> },
      ]}
      empty={
        <EmptyState title="No session yet" text="Rescans, policy runs and restores appear here.">
          <RouterButton to={paths.resources}>Look for resources</RouterButton>
        </EmptyState>
      }
    />
  );
}

function SessionLink({ session }: { session: Session }) {
  return <RouterLink to={paths.session(session.id)}>{session.name}</RouterLink>;
}

function Bytes({ bytes }: { bytes: number }) {
  return bytes > 0 ? <span className="hf-number">{size(bytes)}</span> : <Box color="text-body-secondary">–</Box>;
}
