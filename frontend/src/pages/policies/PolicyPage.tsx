import { useMemo, useState } from "react";
import Button from "@cloudscape-design/components/button";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Tabs from "@cloudscape-design/components/tabs";
import { useNavigate, useParams } from "react-router";
import { PolicyDetailDocument, ScopeCandidatesDocument } from "../../api/generated";
import { useAllPages, useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { dayName, ordinalName } from "../../format/schedule";
import { upcomingRuns } from "../../format/upcoming";
import { StateIndicator } from "../../ui/indicators";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { RouterLink } from "../../ui/RouterLink";
import { useTab } from "../../ui/useTab";
import { Waiting } from "../../ui/Waiting";
import { useNow, When } from "../../ui/When";
import NotFound from "../NotFound";
import { SessionTable } from "../sessions/Sessions";
import { DeletePolicy } from "./DeletePolicy";
import { draftOf, inWords, type PolicyDetail } from "./draft";
import { RunHealthCheck } from "./RunHealthCheck";
import { RunPolicy } from "./RunPolicy";
import { ScopePreview } from "./ScopePreview";
import { useSwitchPolicy } from "./useSwitchPolicy";

const PREVIEWED = 2_000;

export default function PolicyPage() {
  const { id = "" } = useParams();
  const answer = useData(PolicyDetailDocument, { id }, { live: ["policy", "session", "resource"] });
  const node = answer.data?.node;
  const policy = node?.__typename === "Policy" ? node : null;
  if (answer.problem?.code === "NOT_FOUND" || (answer.data && !policy)) return <NotFound what="policy" />;
  return (
    <Page title={policy?.name ?? "Policy"} above={[{ text: "Policies", href: paths.policies }]}>
      {answer.problem && <ProblemAlert header="The policy cannot be shown" problem={answer.problem} onRetry={answer.refresh} />}
      {answer.loading && <Waiting />}
      {policy && <Detail policy={policy} onChanged={answer.refresh} />}
    </Page>
  );
}

function Detail({ policy, onChanged }: { policy: PolicyDetail; onChanged: () => void }) {
  const [tab, setTab] = useTab(["overview", "resources", "sessions"]);
  const [asking, setAsking] = useState<"run" | "health" | "delete" | null>(null);
  const navigate = useNavigate();
  const switching = useSwitchPolicy();
  return (
    <SpaceBetween size="l">
      <Header
        variant="h1"
        description={policy.description || undefined}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <ButtonDropdown
              loading={switching.busy}
              items={[
                { id: "edit", text: "Edit" },
                {
                  id: "health",
                  text: "Run health check now",
                  disabled: !policy.repository,
                  disabledReason: policy.repository ? undefined : "It makes no backups.",
                },
                { id: "switch", text: policy.enabled ? "Disable" : "Enable" },
                { id: "delete", text: "Delete" },
              ]}
              onItemClick={({ detail }) => {
                if (detail.id === "edit") void navigate(paths.editPolicy(policy.id));
                if (detail.id === "switch") void switching.run(policy).then(onChanged);
                if (detail.id === "health") setAsking("health");
                if (detail.id === "delete") setAsking("delete");
              }}
            >
              Actions
            </ButtonDropdown>
            <Button variant="primary" onClick={() => setAsking("run")}>
              Run now
            </Button>
          </SpaceBetween>
        }
      >
        {policy.name}
      </Header>
      <Container header={<Header variant="h2">Summary</Header>}>
        <KeyValuePairs
          columns={4}
          items={[
            {
              label: "Status",
              value: policy.enabled ? (
                <StatusIndicator wrapText={false} type="success">Enabled</StatusIndicator>
              ) : (
                <StatusIndicator wrapText={false} type="stopped">Disabled</StatusIndicator>
              ),
            },
            { label: "Resources", value: policy.resourceCount.toLocaleString("en-US") },
            { label: "Repository", value: policy.repository?.name ?? "Snapshots only" },
            { label: "AWS account", value: policy.scope.account.name },
            { label: "Next run", value: <When at={policy.nextRunAt} none={policy.enabled ? "By hand only" : "Disabled"} /> },
            {
              label: "Last run",
              value: policy.lastSession ? (
                <RouterLink to={paths.session(policy.lastSession.id)}>
                  <StateIndicator state={policy.lastSession.state} />
                </RouterLink>
              ) : (
                "Never"
              ),
            },
            { label: "Verification", value: policy.repository ? (policy.verify ? "After each backup" : "Off") : "No backups" },
            {
              label: "Health check",
              value: policy.healthCheck
                ? `${ordinalName(policy.healthCheck.ordinal)} ${dayName(policy.healthCheck.weekday)} of each month`
                : policy.repository
                  ? "By hand only"
                  : "No backups",
            },
            { label: "Priority", value: String(policy.priority) },
            { label: "Created", value: <When at={policy.createdAt} /> },
          ]}
        />
      </Container>
      <Tabs
        activeTabId={tab}
        onChange={({ detail }) => setTab(detail.activeTabId)}
        tabs={[
          { id: "overview", label: "In plain words", content: tab === "overview" && <InWords policy={policy} /> },
          { id: "resources", label: "Resources", content: tab === "resources" && <Covered policy={policy} /> },
          { id: "sessions", label: "Sessions", content: tab === "sessions" && <SessionTable policyId={policy.id} /> },
        ]}
      />
      {asking === "run" && <RunPolicy policy={policy} onClose={() => setAsking(null)} />}
      {asking === "health" && <RunHealthCheck policy={policy} onClose={() => setAsking(null)} />}
      {asking === "delete" && (
        <DeletePolicy policy={policy} onClose={() => setAsking(null)} onDeleted={() => void navigate(paths.policies)} />
      )}
    </SpaceBetween>
  );
}

function InWords({ policy }: { policy: PolicyDetail }) {
  const draft = useMemo(() => draftOf(policy, "UTC"), [policy]);
  const names = new Map([...policy.scope.resources, ...policy.scope.excludedResources].map((resource) => [resource.id, resource.name]));
  const now = useNow(60_000);
  const runs = policy.enabled && policy.schedule && policy.nextRunAt ? upcomingRuns(policy.schedule, Math.max(now, Date.parse(policy.nextRunAt) - 1), 5) : [];
  return (
    <div className="hf-attention">
      <Container fitHeight header={<Header variant="h2">What it does</Header>}>
        <ul className="hf-sentences">
          {inWords(draft, { resources: names, repository: policy.repository?.name ?? null }).map((sentence) => (
            <li key={sentence}>{sentence}</li>
          ))}
        </ul>
      </Container>
      <Container fitHeight header={<Header variant="h2">Next runs</Header>}>
        {runs.length === 0 ? (
          policy.enabled ? (
            "Only when started by hand."
          ) : (
            "None while it is disabled."
          )
        ) : (
          <ul className="hf-concerns">
            {runs.map((run) => (
              <li key={run.at}>
                <When at={run.at} />
                <span>{run.backup ? "Snapshot and backup" : "Snapshot"}</span>
              </li>
            ))}
          </ul>
        )}
      </Container>
    </div>
  );
}

function Covered({ policy }: { policy: PolicyDetail }) {
  const draft = useMemo(() => draftOf(policy, "UTC"), [policy]);
  const accountId = policy.scope.account.id;
  const candidates = useAllPages(
    ScopeCandidatesDocument,
    (after) => ({ accountId, after }),
    ({ resources }) => ({
      items: resources.edges.map((edge) => edge.node),
      next: resources.pageInfo.hasNextPage ? (resources.pageInfo.endCursor ?? null) : null,
      total: resources.totalCount,
    }),
    accountId,
    PREVIEWED,
  );
  return <ScopePreview draft={draft} candidates={candidates} rank={policy} />;
}
