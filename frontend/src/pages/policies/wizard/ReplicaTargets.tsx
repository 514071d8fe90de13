import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Checkbox from "@cloudscape-design/components/checkbox";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import Multiselect from "@cloudscape-design/components/multiselect";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import type { KeyUsage } from "../../../api/generated";
import { AccountRegionsDocument } from "../../../api/generated";
import { useData } from "../../../api/useData";
import { newReplica, type ReplicaDraft } from "../draft";
import { regionOptions } from "./options";
import type { StepProps } from "./stepProps";
import "../policies.css";

const USAGE: Record<KeyUsage, string> = { ALL: "All volumes", ENCRYPTED: "Volumes that are encrypted at the source" };

/** Where copies of snapshots go: a row for all Regions, or rows for some. */
export function ReplicaTargets(props: StepProps) {
  const { draft, change, error } = props;
  const put = (index: number, part: Partial<ReplicaDraft>): void =>
    change({ replicas: draft.replicas.map((target, each) => (each === index ? { ...target, ...part } : target)) });
  return (
    <Container
      header={
        <Header
          variant="h2"
          description="A replica is a copy of a snapshot in another Region or another account."
          actions={
            <Button iconName="add-plus" onClick={() => change({ replicas: [...draft.replicas, newReplica(draft.accountId)] })}>
              Add replica target
            </Button>
          }
        >
          Replicas
        </Header>
      }
    >
      <SpaceBetween size="l">
        {draft.replicas.length === 0 && (
          <Box color={error("=replicas") ? "text-status-error" : "text-body-secondary"}>
            {error("=replicas") ?? "No replica is made. Add a target to copy snapshots to a second place."}
          </Box>
        )}
        {draft.replicas.map((target, index) => (
          <Target
            key={index}
            {...props}
            index={index}
            target={target}
            onChange={(part) => put(index, part)}
            onRemove={() => change({ replicas: draft.replicas.filter((_target, each) => each !== index) })}
          />
        ))}
      </SpaceBetween>
    </Container>
  );
}

interface TargetProps extends StepProps {
  readonly index: number;
  readonly target: ReplicaDraft;
  readonly onChange: (part: Partial<ReplicaDraft>) => void;
  readonly onRemove: () => void;
}

function Target({ index, target, draft, choices, error, onChange, onRemove }: TargetProps) {
  const answer = useData(AccountRegionsDocument, { accountId: target.accountId }, { pause: target.accountId === "" });
  const regions = regionOptions(answer.data?.regions ?? []).map((option) => ({ ...option, labelTag: undefined }));
  const accounts = choices.accounts.edges.map(({ node }) => ({ value: node.id, label: node.name, description: node.awsAccountId ?? undefined }));
  const at = (field: string): string | undefined => error(`replicas.${index}.${field}`);
  return (
    <div className="hf-target" role="group" aria-label={`Replica target ${index + 1}`}>
      <SpaceBetween size="m">
        <div className="hf-row">
          <div className="hf-grow">
            <FormField label="Snapshots from" errorText={at("regions")}>
              <Multiselect
                selectedOptions={target.regions.map((value) => ({ value, label: value }))}
                options={draft.regions.map((value) => ({ value, label: value }))}
                placeholder={draft.replicas.length > 1 ? "All other Regions" : "All Regions"}
                onChange={({ detail }) => onChange({ regions: detail.selectedOptions.map((option) => option.value ?? "") })}
              />
            </FormField>
          </div>
          <div className="hf-grow">
            <FormField label="To the account" errorText={at("accountId")}>
              <Select
                selectedOption={accounts.find((account) => account.value === target.accountId) ?? null}
                options={accounts}
                placeholder="Choose an account"
                onChange={({ detail }) => onChange({ accountId: detail.selectedOption.value ?? "", region: "" })}
              />
            </FormField>
          </div>
          <div className="hf-grow">
            <FormField label="In the Region" errorText={at("region")}>
              <Select
                selectedOption={target.region === "" ? null : (regions.find((option) => option.value === target.region) ?? { value: target.region, label: target.region })}
                options={regions}
                filteringType="auto"
                placeholder="Choose a Region"
                statusType={answer.loading && target.accountId !== "" ? "loading" : "finished"}
                onChange={({ detail }) => onChange({ region: detail.selectedOption.value ?? "" })}
              />
            </FormField>
          </div>
        </div>
        <Checkbox
          checked={target.encrypt}
          description="Encrypted volumes can only be copied with this."
          onChange={({ detail }) => onChange({ encrypt: detail.checked })}
        >
          Encrypt the copies
        </Checkbox>
        {target.encrypt && (
          <div className="hf-row">
            <div className="hf-grow">
              <FormField label="KMS key in that Region" constraintText="Id, alias or ARN. Empty: the Region's default key." errorText={at("kmsKey")}>
                <Input value={target.kmsKey} spellcheck={false} placeholder="alias/replicas" onChange={({ detail }) => onChange({ kmsKey: detail.value })} />
              </FormField>
            </div>
            <div className="hf-grow">
              <FormField label="What it encrypts" errorText={at("keyUsage")}>
                <Select
                  selectedOption={{ value: target.keyUsage, label: USAGE[target.keyUsage] }}
                  options={Object.entries(USAGE).map(([value, label]) => ({ value, label }))}
                  onChange={({ detail }) => onChange({ keyUsage: detail.selectedOption.value as KeyUsage })}
                />
              </FormField>
            </div>
          </div>
        )}
        <Button iconName="remove" onClick={onRemove}>
          Remove this target
        </Button>
      </SpaceBetween>
    </div>
  );
}
