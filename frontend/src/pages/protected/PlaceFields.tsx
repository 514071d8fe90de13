import FormField from "@cloudscape-design/components/form-field";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import { fieldError, type Problem } from "../../api/errors";
import { ProblemAlert } from "../../ui/ProblemAlert";
import type { PointDetail, useTargets } from "./usePoint";

interface PlaceFieldsProps {
  readonly point: PointDetail;
  readonly accountId: string;
  readonly region: string;
  readonly where: ReturnType<typeof useTargets>;
  readonly problem: Problem | null;
  readonly onChange: (accountId: string, region: string) => void;
}

/** Account and Region of a restore. */
export function PlaceFields({ point, accountId, region, where, problem, onChange }: PlaceFieldsProps) {
  const fixed = point.leg === "SNAPSHOT";
  const accounts = where.accounts.map((account) => ({
    value: account.id,
    label: account.name,
    description: account.awsAccountId ?? undefined,
  }));
  const regions = (where.regions.data?.regions ?? []).map((each) => ({ value: each.name, label: each.name, description: each.title }));
  return (
    <SpaceBetween size="l">
      <FormField label="AWS account" errorText={fieldError(problem, "accountId")}>
        <Select
          selectedOption={accounts.find((account) => account.value === accountId) ?? { value: accountId, label: point.resource.account.name }}
          options={accounts}
          disabled={fixed}
          onChange={({ detail }) => onChange(detail.selectedOption.value ?? "", "")}
        />
      </FormField>
      <FormField label="Region" errorText={fieldError(problem, "region")}>
        <Select
          selectedOption={region === "" ? null : (regions.find((each) => each.value === region) ?? { value: region, label: region })}
          options={regions}
          disabled={fixed}
          filteringType="auto"
          placeholder="Choose a Region"
          statusType={where.regions.loading && accountId !== "" ? "loading" : "finished"}
          onChange={({ detail }) => onChange(accountId, detail.selectedOption.value ?? "")}
        />
      </FormField>
      {where.targets.problem && (
        <ProblemAlert header="What the Region offers cannot be listed" problem={where.targets.problem} onRetry={where.targets.refresh} />
      )}
    </SpaceBetween>
  );
}
