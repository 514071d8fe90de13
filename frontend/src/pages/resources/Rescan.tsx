import { useEffect, useState } from "react";
import FormField from "@cloudscape-design/components/form-field";
import Multiselect, { type MultiselectProps } from "@cloudscape-design/components/multiselect";
import Select from "@cloudscape-design/components/select";
import { AccountRegionsDocument, PolicyChoicesDocument, RescanDocument } from "../../api/generated";
import { fieldError } from "../../api/errors";
import { useCommand, useData } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { Confirm } from "../../ui/Confirm";
import { ProblemAlert } from "../../ui/ProblemAlert";

/** Asks which account and Regions to look through, and starts. */
export function Rescan({ onClose }: { onClose: () => void }) {
  const choices = useData(PolicyChoicesDocument, {});
  const accounts = choices.data?.accounts.edges.map((edge) => edge.node) ?? [];
  const [accountId, setAccountId] = useState("");
  const [chosen, setChosen] = useState<readonly MultiselectProps.Option[]>([]);
  const home = accounts.find((account) => account.isHome) ?? accounts[0];
  useEffect(() => {
    if (accountId === "" && home) setAccountId(home.id);
  }, [accountId, home]);
  const regions = useData(AccountRegionsDocument, { accountId }, { pause: accountId === "" });
  const rescan = useCommand(RescanDocument);
  const notifications = useNotifications();

  async function start(): Promise<void> {
    const { data } = await rescan.run({
      input: { accountId, regions: chosen.length > 0 ? chosen.map((option) => option.value ?? "") : null, clientMutationId: rescan.key },
    });
    if (!data) return;
    if (data.rescan.session) notifications.session(data.rescan.session);
    onClose();
  }

  return (
    <Confirm
      title="Rescan an AWS account"
      action="Rescan"
      busy={rescan.busy}
      disabled={accountId === ""}
      problem={rescan.problem}
      onConfirm={() => void start()}
      onClose={onClose}
    >
      <FormField label="AWS account" errorText={fieldError(rescan.problem, "accountId")}>
        <Select
          selectedOption={accounts.filter((account) => account.id === accountId).map((account) => ({ value: account.id, label: account.name }))[0] ?? null}
          options={accounts.map((account) => ({ value: account.id, label: account.name, description: account.awsAccountId ?? undefined }))}
          onChange={({ detail }) => {
            setAccountId(detail.selectedOption.value ?? "");
            setChosen([]);
          }}
          statusType={choices.loading ? "loading" : "finished"}
          placeholder="Choose an account"
          expandToViewport
        />
      </FormField>
      <FormField
        label="Regions"
        description="Only these are looked through. Leave empty for all Regions enabled in the account."
        errorText={fieldError(rescan.problem, "regions")}
      >
        <Multiselect
          selectedOptions={chosen}
          options={(regions.data?.regions ?? []).map((region) => ({
            value: region.name,
            label: region.name,
            description: region.title,
          }))}
          onChange={({ detail }) => setChosen(detail.selectedOptions)}
          statusType={regions.loading && accountId !== "" ? "loading" : "finished"}
          placeholder="All Regions"
          filteringType="auto"
          tokenLimit={6}
          expandToViewport
        />
      </FormField>
      {regions.problem && <ProblemAlert header="The Regions cannot be listed" problem={regions.problem} onRetry={regions.refresh} />}
    </Confirm>
  );
}
