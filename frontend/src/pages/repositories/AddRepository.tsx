import { useState } from "react";
import Wizard from "@cloudscape-design/components/wizard";
import { useNavigate } from "react-router";
import { AccountRegionsDocument, AddRepositoryDocument, PolicyChoicesDocument, RepositoryFolderDocument } from "../../api/generated";
import { fieldError, type Problem } from "../../api/errors";
import { useCommand, useData, useQuestion } from "../../api/useData";
import { ProblemText, useNotifications } from "../../app/notifications";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { WIZARD_WORDS } from "../../ui/wizardWords";
import { EncryptionStep, FolderStep, PlaceStep, SummaryStep, type StepProps } from "./steps";
import { inputOf, NEW_REPOSITORY, placeOf, problemsOf, stepOf, STEPS, withFound, type FoundFolder, type RepositoryDraft } from "./draft";

export default function AddRepository() {
  return (
    <Page title="Add repository" above={[{ text: "Repositories", href: paths.repositories }]} contentType="wizard">
      <Steps />
    </Page>
  );
}

function Steps() {
  const [typed, setTyped] = useState<RepositoryDraft>(NEW_REPOSITORY);
  const [found, setFound] = useState<{ place: string; folder: FoundFolder } | null>(null);
  const [step, setStep] = useState(0);
  const [tried, setTried] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const choices = useData(PolicyChoicesDocument, {});
  const accounts = choices.data?.accounts.edges.map((edge) => edge.node) ?? [];
  const usual = accounts.find((each) => each.isHome) ?? accounts[0];
  const draft = typed.accountId === "" && usual && typed.kind === "S3" ? { ...typed, accountId: usual.id } : typed;
  const regions = useData(AccountRegionsDocument, { accountId: draft.accountId }, { pause: draft.accountId === "" || draft.kind !== "S3" });
  const look = useQuestion(RepositoryFolderDocument);
  const add = useCommand(AddRepositoryDocument);
  const notifications = useNotifications();
  const navigate = useNavigate();

  const place = JSON.stringify(placeOf(draft));
  const folder = found?.place === place ? found.folder : null;
  const current = STEPS[step];
  const missing = current && tried ? problemsOf(draft, folder, current) : {};
  const props: StepProps = {
    draft,
    folder,
    accounts,
    accountsLoading: choices.loading,
    regions: regions.data?.regions ?? [],
    regionsLoading: regions.loading,
    change: (part) => {
      setTyped({ ...draft, ...part });
      setProblem(null);
    },
    error: (field) => missing[field] ?? fieldError(problem, field),
  };

  async function lookInto(): Promise<void> {
    const answer = await look.run({ input: placeOf(draft) });
    setProblem(answer.problem);
    if (!answer.data) return;
    const seen = answer.data.repositoryFolder;
    // Whoever comes back to an unchanged folder keeps what was filled in since.
    if (!folder || folder.exists !== seen.exists) setTyped(withFound(draft, seen));
    setFound({ place, folder: seen });
    setStep(1);
  }

  async function save(): Promise<void> {
    const wrong = STEPS.findIndex((each) => Object.keys(problemsOf(draft, folder, each)).length > 0);
    if (wrong >= 0) {
      setTried(true);
      setStep(wrong);
      return;
    }
    const { data, problem: refused } = await add.run({ input: inputOf(draft, add.key) });
    if (refused) {
      setProblem(refused);
      const at = stepOf(refused.fields);
      if (at !== null) setStep(at);
      return;
    }
    if (!data) return;
    const { repository, session } = data.addRepository;
    if (session) notifications.session(session);
    notifications.success(`Repository ${draft.name.trim()} is added.`);
    void navigate(repository ? paths.repository(repository.id) : paths.repositories);
  }

  // What is wrong with one field stands at the field; anything else beneath the step.
  const atField = problem !== null && stepOf(problem.fields) === step;
  const errorText = problem && !atField ? <ProblemText problem={problem} /> : undefined;
  return (
    <Wizard
      activeStepIndex={step}
      i18nStrings={WIZARD_WORDS}
      submitButtonText={folder?.exists ? "Import repository" : "Add repository"}
      isLoadingNextStep={look.busy || add.busy}
      onCancel={() => void navigate(paths.repositories)}
      onSubmit={() => void save()}
      onNavigate={({ detail }) => {
        const forward = detail.requestedStepIndex > step;
        const blocked = forward && current !== undefined && Object.keys(problemsOf(draft, folder, current)).length > 0;
        setTried(blocked);
        if (blocked) return;
        setProblem(null);
        if (forward && step === 0) void lookInto();
        else setStep(detail.requestedStepIndex);
      }}
      steps={[
        { title: "Place", description: "What it is called, and where its files lie.", content: <PlaceStep {...props} />, errorText },
        { title: "Folder", description: "What was found there.", content: <FolderStep {...props} />, errorText: errorText ?? missing.folder },
        { title: "Encryption", description: "What opens the repository.", content: <EncryptionStep {...props} />, errorText },
        { title: "Summary", content: <SummaryStep {...props} />, errorText },
      ]}
    />
  );
}
