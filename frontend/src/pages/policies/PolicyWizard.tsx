import { useParams, useSearchParams } from "react-router";
import { PolicyChoicesDocument, PolicyDetailDocument } from "../../api/generated";
import { useData } from "../../api/useData";
import { Page } from "../../app/page";
import { paths } from "../../app/paths";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { Waiting } from "../../ui/Waiting";
import NotFound from "../NotFound";
import { WizardSteps } from "./wizard/WizardSteps";

export default function PolicyWizard() {
  const { id } = useParams();
  const [params] = useSearchParams();
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
      {ready && choices.data && (
        <WizardSteps key={policy?.id ?? "new"} policy={policy} kind={params.get("kind") === "SLA" ? "SLA" : "SCHEDULE"} choices={choices.data} />
      )}
    </Page>
  );
}
