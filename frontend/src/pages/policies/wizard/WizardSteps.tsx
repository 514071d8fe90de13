import { useEffect, useMemo, useState, type ReactNode } from "react";
import Button from "@cloudscape-design/components/button";
import Wizard, { type WizardProps } from "@cloudscape-design/components/wizard";
import { useNavigate } from "react-router";
import type { PolicyChoicesQuery, PolicyKind } from "../../../api/generated";
import { sentenceAt, type Problems } from "../../../api/fields";
import { ProblemText, useNotifications } from "../../../app/notifications";
import { paths } from "../../../app/paths";
import { WIZARD_WORDS } from "../../../ui/wizardWords";
import type { PolicyDetail } from "../draft";
import { CostStep } from "./CostStep";
import { problemsIn, stepsOf, type StepId } from "./fields";
import { GuestStep } from "./GuestStep";
import { NameStep } from "./NameStep";
import { ProtectionStep } from "./ProtectionStep";
import { ResourcesStep } from "./ResourcesStep";
import { ReviewStep } from "./ReviewStep";
import { ScheduleStep } from "./ScheduleStep";
import { SettingsStep } from "./SettingsStep";
import { SourcesStep } from "./SourcesStep";
import type { StepProps } from "./stepProps";
import { TagsStep } from "./TagsStep";
import { TargetsStep } from "./TargetsStep";
import { useDraft } from "./useDraft";

interface WizardStepsProps {
  readonly policy: PolicyDetail | null;
  /** Of a new policy. */
  readonly kind: PolicyKind;
  readonly choices: PolicyChoicesQuery;
}

const TITLE: Record<StepId, { title: string; description?: string }> = {
  name: { title: "Name" },
  sources: { title: "Sources", description: "The account and the Regions." },
  resources: { title: "Resources", description: "What this policy protects." },
  guest: { title: "Guest processing", description: "What happens inside the instances around a snapshot." },
  targets: { title: "Targets", description: "Where backups, archives and replicas go." },
  protection: { title: "Protection settings", description: "What is promised, and where it is stored." },
  schedule: { title: "Schedule", description: "When it runs, and how long restore points are kept." },
  tags: { title: "Tags" },
  settings: { title: "Settings", description: "Retries, mail and checks." },
  cost: { title: "Cost", description: "What it is expected to cost a month." },
  review: { title: "Review" },
};

/** The steps of writing a policy. Nobody leaves a step forward while the server objects to one of its fields. */
export function WizardSteps({ policy, kind, choices }: WizardStepsProps) {
  const writing = useDraft(policy, kind, choices);
  const { draft } = writing;
  // The component lets people go to steps that were shown before: of a policy that exists, all of them.
  const [opened, setOpened] = useState(policy === null);
  const [at, setAt] = useState<StepId>(opened ? "name" : "review");
  useEffect(() => {
    if (opened) return;
    setAt("name");
    setOpened(true);
  }, [opened]);
  const [tried, setTried] = useState(false);
  const [checking, setChecking] = useState(false);
  const notifications = useNotifications();
  const navigate = useNavigate();
  const steps = stepsOf(draft.kind);
  const index = Math.max(0, steps.indexOf(at));

  // In the schedule every change is answered at once; elsewhere a field that was not reached yet is not blamed.
  const shown = useMemo<Problems>(() => (tried || at === "schedule" ? writing.problems : {}), [at, tried, writing.problems]);
  const props: StepProps = {
    ...writing,
    policyId: policy?.id ?? null,
    choices,
    error: (...fields) => sentenceAt(shown, ...fields),
  };

  async function go(requested: number): Promise<void> {
    const next = steps[requested] ?? "name";
    if (requested > index) {
      setChecking(true);
      const problems = await writing.check();
      setChecking(false);
      const between = steps.slice(index, requested).find((step) => Object.keys(problemsIn(step, problems, draft.kind)).length > 0);
      if (between) {
        setTried(true);
        setAt(between);
        return;
      }
    }
    setTried(false);
    setAt(next);
  }

  async function save(): Promise<void> {
    const problems = await writing.check();
    const wrong = steps.find((step) => Object.keys(problemsIn(step, problems, draft.kind)).length > 0);
    if (wrong) {
      setTried(true);
      setAt(wrong);
      return;
    }
    const saved = await writing.save();
    if (!saved) {
      setTried(true);
      return;
    }
    notifications.success(`Policy ${draft.name.trim()} is ${policy ? "saved" : "created"}.`);
    void navigate(paths.policy(saved.id));
  }

  const refused = writing.refused;
  const content: Record<StepId, () => ReactNode> = {
    name: () => <NameStep {...props} />,
    sources: () => <SourcesStep {...props} />,
    resources: () => <ResourcesStep {...props} />,
    guest: () => <GuestStep {...props} />,
    targets: () => <TargetsStep {...props} />,
    protection: () => <ProtectionStep {...props} />,
    schedule: () => <ScheduleStep {...props} />,
    tags: () => <TagsStep {...props} />,
    settings: () => <SettingsStep {...props} />,
    cost: () => <CostStep {...props} />,
    review: () => <ReviewStep {...props} problems={tried ? problemsIn("review", writing.problems, draft.kind) : {}} />,
  };
  const wizardSteps: WizardProps.Step[] = steps.map((step) => ({
    title: TITLE[step].title,
    description: TITLE[step].description,
    content: opened && step === at ? content[step]() : null,
    errorText: refused ? <ProblemText problem={refused} /> : undefined,
  }));
  return (
    <Wizard
      activeStepIndex={index}
      onNavigate={({ detail }) => void go(detail.requestedStepIndex)}
      onCancel={() => void navigate(policy ? paths.policy(policy.id) : paths.policies)}
      onSubmit={() => void save()}
      isLoadingNextStep={checking || writing.saving}
      submitButtonText={policy ? "Save changes" : "Create policy"}
      secondaryActions={
        policy &&
        at !== "review" && (
          <Button loading={writing.saving} onClick={() => void save()}>
            Save changes
          </Button>
        )
      }
      i18nStrings={WIZARD_WORDS}
      steps={wizardSteps}
    />
  );
}
