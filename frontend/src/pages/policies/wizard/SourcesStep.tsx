import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Multiselect from "@cloudscape-design/components/multiselect";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { regionOptions } from "./options";
import type { StepProps } from "./stepProps";

export function SourcesStep({ draft, change, error, choices, regions, regionsLoading }: StepProps) {
  const accounts = choices.accounts.edges.map(({ node }) => ({
    value: node.id,
    label: node.name,
    description: node.awsAccountId ?? undefined,
  }));
  const options = regionOptions(regions);
  return (
    <Container header={<Header variant="h2">Where the instances are</Header>}>
      <SpaceBetween size="l">
        <FormField label="AWS account" errorText={error("scope.accountId")}>
          <Select
            selectedOption={accounts.find((account) => account.value === draft.accountId) ?? null}
            options={accounts}
            placeholder="Choose an account"
            onChange={({ detail }) => change({ accountId: detail.selectedOption.value ?? "", regions: [], resourceIds: [], excludedResourceIds: [] })}
          />
        </FormField>
        <FormField label="Regions" errorText={error("scope.regions")}>
          <Multiselect
            selectedOptions={draft.regions.map((name) => options.find((option) => option.value === name) ?? { value: name, label: name })}
            options={options}
            placeholder="Choose Regions"
            filteringType="auto"
            statusType={regionsLoading && draft.accountId !== "" ? "loading" : "finished"}
            onChange={({ detail }) => change({ regions: detail.selectedOptions.map((option) => option.value ?? "") })}
          />
        </FormField>
      </SpaceBetween>
    </Container>
  );
}
