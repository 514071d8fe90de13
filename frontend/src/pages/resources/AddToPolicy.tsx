import { useState } from "react";
import Box from "@cloudscape-design/components/box";
import FormField from "@cloudscape-design/components/form-field";
import Select from "@cloudscape-design/components/select";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { AddToPolicyDocument, PoliciesForDocument } from "../../api/generated";
import { useCommand, useData } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { count, list } from "../../format/text";
import { POLICY_KIND } from "../../format/words";
import { paths } from "../../app/paths";
import { Confirm } from "../../ui/Confirm";
import { ProblemAlert } from "../../ui/ProblemAlert";
import { RouterLink } from "../../ui/RouterLink";

interface AddToPolicyProps {
  readonly resources: readonly { readonly id: string; readonly name: string }[];
  readonly onClose: () => void;
}

const NAMED = 3;

/** Puts instances into a policy that can take them all. */
export function AddToPolicy({ resources, onClose }: AddToPolicyProps) {
  const [policyId, setPolicyId] = useState("");
  const resourceIds = resources.map((resource) => resource.id);
  const answer = useData(PoliciesForDocument, { resourceIds });
  const add = useCommand(AddToPolicyDocument);
  const notifications = useNotifications();
  const policies = answer.data?.policiesFor ?? [];
  const chosen = policies.find((policy) => policy.id === policyId);
  const option = (policy: (typeof policies)[number]) => ({
    value: policy.id,
    label: policy.name,
    description: `${count(policy.resourceCount, "instance")} so far; ${POLICY_KIND[policy.kind].toLowerCase()}`,
    labelTag: policy.enabled ? undefined : "Disabled",
  });

  async function run(): Promise<void> {
    const { data } = await add.run({ input: { policyId, resourceIds, clientMutationId: add.key } });
    if (!data) return;
    notifications.success(`${namesOf(resources)} added to policy ${data.addToPolicy.policy?.name ?? ""}.`);
    onClose();
  }

  return (
    <Confirm
      title={`Add ${count(resources.length, "instance")} to a policy`}
      action="Add"
      busy={add.busy}
      disabled={!chosen}
      problem={add.problem}
      onConfirm={() => void run()}
      onClose={onClose}
    >
      <div>{namesOf(resources)}</div>
      {answer.problem && <ProblemAlert header="The policies cannot be listed" problem={answer.problem} onRetry={answer.refresh} />}
      {answer.loading && <StatusIndicator type="loading">Looking which policies can take them</StatusIndicator>}
      {answer.data && policies.length === 0 && (
        <Box color="text-body-secondary">
          No policy can take {resources.length === 1 ? "it" : "all of them"}: its account and Regions must be those of the instances.{" "}
          <RouterLink to={paths.newPolicy}>Create one</RouterLink>
        </Box>
      )}
      {policies.length > 0 && (
        <FormField label="Policy" description="Policies of the same account that look at the instances' Regions.">
          <Select
            selectedOption={chosen ? option(chosen) : null}
            options={policies.map(option)}
            placeholder="Choose a policy"
            expandToViewport
            onChange={({ detail }) => setPolicyId(detail.selectedOption.value ?? "")}
          />
        </FormField>
      )}
      {chosen && !chosen.enabled && <Box color="text-body-secondary">The policy is disabled: it protects nothing until it is enabled.</Box>}
    </Confirm>
  );
}

function namesOf(resources: AddToPolicyProps["resources"]): string {
  const names = resources.slice(0, NAMED).map((resource) => resource.name);
  return resources.length > NAMED ? `${names.join(", ")} and ${resources.length - NAMED} more` : list(names);
}
