import Checkbox from "@cloudscape-design/components/checkbox";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Textarea from "@cloudscape-design/components/textarea";
import Tiles from "@cloudscape-design/components/tiles";
import type { PolicyKind } from "../../../api/generated";
import type { StepProps } from "./stepProps";

export function NameStep({ draft, change, error, policyId }: StepProps) {
  return (
    <SpaceBetween size="l">
      <Container header={<Header variant="h2">Kind</Header>}>
        <Tiles
          ariaLabel="Kind of policy"
          value={draft.kind}
          onChange={({ detail }) => change({ kind: detail.value as PolicyKind })}
          items={[
            {
              value: "SCHEDULE",
              label: "By schedule",
              description: "Runs at the hours and days you choose, in one time zone.",
              disabled: policyId !== null && draft.kind !== "SCHEDULE",
            },
            {
              value: "SLA",
              label: "By SLA",
              description: "Keeps a promise: how often, inside a window of each Region's own time. What was kept of it is measured.",
              disabled: policyId !== null && draft.kind !== "SLA",
            },
          ]}
        />
      </Container>
      <Container header={<Header variant="h2">Name</Header>}>
        <SpaceBetween size="l">
          <FormField label="Name" constraintText="Up to 127 characters." errorText={error("name")}>
            <Input value={draft.name} placeholder="Production, daily" onChange={({ detail }) => change({ name: detail.value })} autoFocus />
          </FormField>
          <FormField
            label={
              <>
                Description <i>- optional</i>
              </>
            }
            errorText={error("description")}
          >
            <Textarea value={draft.description} rows={2} onChange={({ detail }) => change({ description: detail.value })} />
          </FormField>
          <Checkbox
            checked={draft.enabled}
            onChange={({ detail }) => change({ enabled: detail.checked })}
            description={
              draft.kind === "SCHEDULE"
                ? "A disabled policy does not run by its schedule; it can still be started by hand. What it keeps is still looked after."
                : "A disabled policy does not run. What it keeps is still looked after."
            }
          >
            Enabled
          </Checkbox>
        </SpaceBetween>
      </Container>
    </SpaceBetween>
  );
}
