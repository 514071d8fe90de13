import { useEffect, useMemo, useState } from "react";
import Wizard from "@cloudscape-design/components/wizard";
import { useNavigate, useParams } from "react-router";
import {
  AccountRegionsDocument,
  CreatePolicyDocument,
  PolicyChoicesDocument,
  PolicyDetailDocument,
  ScopeCandidatesDocument,
  UpdatePolicyDocument,
} from "../../api/generated";
import { fieldError, type Problem } from "../../api/errors";
import { useAllPages, useCommand, useData } from "../../api/useData";
import { ProblemText, useNotifications } from "../../app/notifications";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { Waiting } from "../../ui/Waiting";
import { WIZARD_WORDS } from "../../ui/wizardWords";
import NotFound from "../NotFound";
import { draftOf, inputOf, newDraft, problemsOf, rankOf, type PolicyDetail, type PolicyDraft } from "./draft";
import { NameStep, RetentionStep, ReviewStep, ScheduleStep, ScopeStep, type StepProps } from "./steps";

const STEPS = ["name", "scope", "schedule", "retention"] as const;
/** Resources matched against the scope in the page; an account with more is previewed in part, and says so. */
const PREVIEWED = 2_000;
const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;

export default function PolicyWizard() {
  const { id } = useParams();
  const existing = useData(PolicyDetailDocument, { id: id ?? "" }, { pause: id === undefined });
  const node = existing.data?.node;
  const policy = node?.__typename === "Policy" ? node : null;
  const choices = useData(PolicyChoicesDocument, {});
  if (id !== undefined && (existing.problem?.code === "NOT_FOUND" || (existing.data && !policy))) return <NotFound what="policy" />;
  const problem = choices.problem ?? existing.problem;
  const ready = choices.data && (id === undefined || policy);
  const title = id === undefined ? "Create policy" : `Edit ${policy?.name ?? "policy"}`;
  const above = [
    { text: "Policies", href: paths.policies },
    ...(policy ? [{ text: policy.name, href: paths.policy(policy.id) }] : []),
  ];
  return (
    <Page title={title} above={above} contentType="wizard">
      {problem && <ProblemAlert problem={problem} onRetry={choices.refresh} />}
      {!problem && !ready && <Waiting />}
      {ready && choices.data && <Steps key={policy?.id ?? "new"} policy={policy} choices={choices.data} />}
    </Page>
  );
}

function Steps({ policy, choices }: { policy: PolicyDetail | null; choices: StepProps["choices"] }) {
  const [draft, setDraft] = useState<PolicyDraft>(() => (policy ? draftOf(policy, HERE) : startingDraft(choices)));
  const [step, setStep] = useState(0);
  const [tried, setTried] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const create = useCommand(CreatePolicyDocument);
  const update = useCommand(UpdatePolicyDocument);
  const notifications = useNotifications();
  const navigate = useNavigate();
  const regions = useData(AccountRegionsDocument, { accountId: draft.accountId }, { pause: draft.accountId === "" });
  const candidates = useAllPages(
    ScopeCandidatesDocument,
    (after) => ({ accountId: draft.accountId, after }),
    ({ resources }) => ({
      items: resources.edges.map((edge) => edge.node),
      next: resources.pageInfo.hasNextPage ? (resources.pageInfo.endCursor ?? null) : null,
      total: resources.totalCount,
    }),
    draft.accountId,
    PREVIEWED,
  );

  // A new policy begins with the Regions that hold something: what most people want, and easy to change.
  useEffect(() => {
    if (policy || draft.regions.length > 0 || !regions.data) return;
    const used = regions.data.regions.filter((region) => region.resourceCount > 0).map((region) => region.name);
    if (used.length > 0) setDraft((now) => (now.regions.length > 0 ? now : { ...now, regions: used }));
  }, [draft.regions.length, policy, regions.data]);

  const names = useMemo(() => {
    const known = new Map(candidates.items.map((resource) => [resource.id, resource.name]));
    policy?.scope.resources.forEach((resource) => known.set(resource.id, resource.name));
    policy?.scope.excludedResources.forEach((resource) => known.set(resource.id, resource.name));
    return known;
  }, [candidates.items, policy]);

  const rank = useMemo(() => rankOf(draft, policy), [draft, policy]);
  const current = STEPS[step];
  const missing = current && tried ? problemsOf(draft, current) : {};
  const props: StepProps = {
    draft,
    choices,
    regions: regions.data?.regions ?? [],
    regionsLoading: regions.loading,
    candidates,
    rank,
    names,
    change: (part) => {
      setDraft((now) => ({ ...now, ...part }));
      setProblem(null);
    },
    error: (field, ...serverPaths) => missing[field] ?? fieldError(problem, ...serverPaths),
  };

  async function save(): Promise<void> {
    const wrong = STEPS.findIndex((each) => Object.keys(problemsOf(draft, each)).length > 0);
    if (wrong >= 0) {
      setTried(true);
      setStep(wrong);
      return;
    }
    const input = inputOf(draft);
    const answer = policy
      ? await update.run({ input: { id: policy.id, revision: policy.revision, policy: input } })
      : await create.run({ input: { ...input, clientMutationId: create.key } });
    if (answer.problem) {
      setProblem(answer.problem);
      const at = stepOf(answer.problem);
      if (at !== null) setStep(at);
      return;
    }
    const saved = answer.data && ("createPolicy" in answer.data ? answer.data.createPolicy.policy : answer.data.updatePolicy.policy);
    notifications.success(`Policy ${draft.name.trim()} is ${policy ? "saved" : "created"}.`);
    void navigate(saved ? paths.policy(saved.id) : paths.policies);
  }

  const errorText = problem ? <ProblemText problem={problem} /> : undefined;
  return (
    <Wizard
      activeStepIndex={step}
      onNavigate={({ detail }) => {
        const forward = detail.requestedStepIndex > step;
        if (forward && current && Object.keys(problemsOf(draft, current)).length > 0) {
          setTried(true);
          return;
        }
        setTried(false);
        setStep(detail.requestedStepIndex);
      }}
      onCancel={() => void navigate(policy ? paths.policy(policy.id) : paths.policies)}
      onSubmit={() => void save()}
      isLoadingNextStep={create.busy || update.busy}
      submitButtonText={policy ? "Save changes" : "Create policy"}
      allowSkipTo={policy !== null}
      i18nStrings={WIZARD_WORDS}
      steps={[
        { title: "General", content: <NameStep {...props} />, errorText },
        { title: "Resources", description: "What this policy protects.", content: <ScopeStep {...props} />, errorText },
        { title: "Schedule", description: "When it runs, and where backups go.", content: <ScheduleStep {...props} />, errorText },
        { title: "Retention", description: "How long restore points are kept.", content: <RetentionStep {...props} />, errorText },
        { title: "Review", content: <ReviewStep {...props} />, errorText },
      ]}
    />
  );
}

function startingDraft(choices: StepProps["choices"]): PolicyDraft {
  const accounts = choices.accounts.edges.map((edge) => edge.node);
  const zone = choices.timezones.includes(HERE) ? HERE : "UTC";
  return { ...newDraft(zone), accountId: (accounts.find((account) => account.isHome) ?? accounts[0])?.id ?? "" };
}

/** The step that holds the first field the server objects to. */
function stepOf(problem: Problem): number | null {
  const where: [number, string[]][] = [
    [0, ["name", "description", "priority"]],
    [1, ["scope"]],
    [2, ["schedule", "repositoryId"]],
    [3, ["retention", "retryAttempts", "retries"]],
  ];
  return where.find(([, fields]) => fieldError(problem, ...fields) !== undefined)?.[0] ?? null;
}
