import { useMemo } from "react";
import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import KeyValuePairs, { type KeyValuePairsProps } from "@cloudscape-design/components/key-value-pairs";
import Skeleton from "@cloudscape-design/components/skeleton";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tabs, { type TabsProps } from "@cloudscape-design/components/tabs";
import { useNavigate, useParams } from "react-router";
import { PolicyChoicesDocument, PolicyDetailDocument } from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { dayName, ordinalName } from "../../format/calendar";
import { StateIndicator } from "../../ui/indicators";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { RouterLink } from "../../ui/RouterLink";
import { useTab } from "../../ui/useTab";
import { Waiting } from "../../ui/Waiting";
import { When } from "../../ui/When";
import NotFound from "../NotFound";
import { SessionTable } from "../sessions/Sessions";
import { ComplianceTab } from "./Compliance";
import { CostTab } from "./CostTab";
import { CoveredTable } from "./CoveredTable";
import { draftOf, inputOf, type PolicyDetail } from "./draft";
import { ForecastTab } from "./ForecastTab";
import { PolicyActions } from "./PolicyActions";
import { EnabledIndicator } from "./policyColumns";
import { RunCalendar } from "./RunCalendar";
import { settingSentences } from "./settingWords";
import { Keeps } from "./wizard/SchedulePreview";
import { usePreview, type PreviewAnswer } from "./wizard/usePreview";

export default function PolicyPage() {
  const { id = "" } = useParams();
  const answer = useData(PolicyDetailDocument, { id }, { live: ["policy", "session", "resource"] });
  const node = answer.data?.node;
  const policy = node?.__typename === "Policy" ? node : null;
  if (answer.problem?.code === "NOT_FOUND" || (answer.data && !policy)) return <NotFound what="policy" />;
  return (
    <Page title={policy?.name ?? "Policy"} above={[{ text: "Policies", href: policy?.kind === "SLA" ? `${paths.policies}?tab=sla` : paths.policies }]}>
      {answer.problem && <ProblemAlert header="The policy cannot be shown" problem={answer.problem} onRetry={answer.refresh} />}
      {answer.loading && <Waiting />}
      {policy && <Detail policy={policy} onChanged={answer.refresh} />}
    </Page>
  );
}

const TABS = ["overview", "resources", "compliance", "forecast", "cost", "sessions"] as const;

function Detail({ policy, onChanged }: { policy: PolicyDetail; onChanged: () => void }) {
  const [tab, setTab] = useTab([...TABS]);
  const navigate = useNavigate();
  const draft = useMemo(() => draftOf(policy, "UTC"), [policy]);
  const input = useMemo(() => inputOf(draft), [draft]);
  const preview = usePreview(input, policy.id);
  const timeZone = policy.schedule?.timezone;
  const tabs: TabsProps.Tab[] = [
    { id: "overview", label: "Overview", content: tab === "overview" && <Overview policy={policy} preview={preview} /> },
    { id: "resources", label: "Resources", content: tab === "resources" && <CoveredTable answer={preview} linked /> },
    ...(policy.kind === "SLA" ? [{ id: "compliance", label: "Compliance", content: tab === "compliance" && <ComplianceTab policyId={policy.id} /> }] : []),
    { id: "forecast", label: "Forecast", content: tab === "forecast" && <ForecastTab policyId={policy.id} timeZone={timeZone} /> },
    { id: "cost", label: "Cost", content: tab === "cost" && <CostTab policy={policy} /> },
    { id: "sessions", label: "Sessions", content: tab === "sessions" && <SessionTable policyId={policy.id} /> },
  ];
  return (
    <SpaceBetween size="l">
      <Header
        variant="h1"
        description={policy.description || undefined}
        actions={<PolicyActions policy={policy} onChanged={onChanged} onDeleted={() => void navigate(paths.policies)} />}
      >
        {policy.name}
      </Header>
      <Container header={<Header variant="h2">Summary</Header>}>
        <KeyValuePairs columns={4} items={summaryOf(policy)} />
      </Container>
      <Tabs activeTabId={tab} onChange={({ detail }) => setTab(detail.activeTabId)} tabs={tabs} />
    </SpaceBetween>
  );
}

function summaryOf(policy: PolicyDetail): KeyValuePairsProps.Pair[] {
  const sla = policy.kind === "SLA";
  const check = policy.healthCheck;
  return [
    { label: "Status", value: <EnabledIndicator enabled={policy.enabled} /> },
    { label: "Instances", value: policy.resourceCount.toLocaleString("en-US") },
    { label: "AWS account", value: policy.scope.account.name },
    { label: "Regions", value: policy.scope.regions.join(", ") },
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
    ...(sla
      ? [
          {
            label: "SLA template",
            value: policy.slaTemplate ? <RouterLink to={paths.slaTemplate(policy.slaTemplate.id)}>{policy.slaTemplate.name}</RouterLink> : "–",
          },
          {
            label: "Storage template",
            value: policy.storageTemplate ? (
              <RouterLink to={paths.storageTemplate(policy.storageTemplate.id)}>{policy.storageTemplate.name}</RouterLink>
            ) : (
              "Snapshots only"
            ),
          },
        ]
      : [
          {
            label: "Repository",
            value: policy.repository ? <RouterLink to={paths.repository(policy.repository.id)}>{policy.repository.name}</RouterLink> : "Snapshots only",
          },
          {
            label: "Health check",
            value: check ? `${ordinalName(check.ordinal)} ${dayName(check.weekday)} of each month` : policy.repository ? "By hand only" : "No backups",
          },
        ]),
    { label: "Priority", value: `${policy.priority} of the ${sla ? "SLA" : "scheduled"} policies` },
    { label: "Created", value: <When at={policy.createdAt} /> },
  ];
}

function Overview({ policy, preview: { preview, problem } }: { policy: PolicyDetail; preview: PreviewAnswer }) {
  const choices = useData(PolicyChoicesDocument, {});
  const draft = useMemo(() => draftOf(policy, "UTC"), [policy]);
  const names = new Map([...policy.scope.resources, ...policy.scope.excludedResources].map((resource) => [resource.id, resource.name]));
  const runs = policy.enabled ? (preview?.nextRuns ?? []) : [];
  return (
    <SpaceBetween size="l">
      {problem && !preview && <ProblemAlert header="What it does cannot be worked out" problem={problem} />}
      {preview?.warnings.map((warning) => (
        <Alert key={warning} type="warning">
          {warning}
        </Alert>
      ))}
      <Container header={<Header variant="h2">Next runs</Header>}>
        {!preview && !problem ? (
          <Skeleton width="60%" />
        ) : runs.length > 0 ? (
          <RunCalendar runs={runs} timeZone={policy.schedule?.timezone} daysShown={14} />
        ) : (
          <Box color="text-body-secondary">{policy.enabled ? "Only when started by hand." : "None while it is disabled."}</Box>
        )}
      </Container>
      <div className="hf-attention">
        <Container fitHeight header={<Header variant="h2">What it does</Header>}>
          <ul className="hf-sentences">
            {preview && <li>{preview.scheduleText}</li>}
            {choices.data && settingSentences(draft, choices.data, names).map((sentence) => <li key={sentence}>{sentence}</li>)}
          </ul>
        </Container>
        <Container fitHeight header={<Header variant="h2">What it keeps</Header>}>
          {preview ? <Keeps keeps={preview.keeps} /> : !problem && <Skeleton width="60%" />}
        </Container>
      </div>
    </SpaceBetween>
  );
}
