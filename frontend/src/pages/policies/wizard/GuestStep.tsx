import Checkbox from "@cloudscape-design/components/checkbox";
import Container from "@cloudscape-design/components/container";
import FormField from "@cloudscape-design/components/form-field";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Toggle from "@cloudscape-design/components/toggle";
import type { ScriptsDraft } from "../draft";
import type { StepProps } from "./stepProps";
import "../policies.css";

export function GuestStep({ draft, change, error }: StepProps) {
  return (
    <SpaceBetween size="l">
      <Container
        header={
          <Header variant="h2" description="Reached through AWS Systems Manager: the instances need its agent and a role that permits it.">
            Consistent applications
          </Header>
        }
      >
        <Toggle
          checked={draft.applicationAware}
          description="Applications that support Volume Shadow Copy (VSS) write everything to disk before the snapshot. Logs are not truncated."
          onChange={({ detail }) => change({ applicationAware: detail.checked })}
        >
          Application-aware snapshots of Windows instances
        </Toggle>
      </Container>
      <ScriptsForm
        title="Scripts in Linux instances"
        path="guest.linux"
        example="/opt/scripts/freeze.sh"
        kinds="SH files"
        draft={draft.linux}
        error={error}
        onChange={(linux) => change({ linux })}
      />
      <ScriptsForm
        title="Scripts in Windows instances"
        path="guest.windows"
        example="C:\Scripts\freeze.ps1"
        kinds="EXE, BAT, CMD, WSF, JS, VBS and PS1 files"
        draft={draft.windows}
        error={error}
        onChange={(windows) => change({ windows })}
      />
    </SpaceBetween>
  );
}

interface ScriptsFormProps {
  readonly title: string;
  /** Where the server finds the fields. */
  readonly path: string;
  readonly example: string;
  readonly kinds: string;
  readonly draft: ScriptsDraft;
  readonly error: StepProps["error"];
  readonly onChange: (draft: ScriptsDraft) => void;
}

function ScriptsForm({ title, path, example, kinds, draft, error, onChange }: ScriptsFormProps) {
  const change = (part: Partial<ScriptsDraft>): void => onChange({ ...draft, ...part });
  return (
    <Container header={<Header variant="h2">{title}</Header>}>
      <SpaceBetween size="l">
        <Toggle
          checked={draft.on}
          description={`Run before and after each snapshot. The files (${kinds}) are in the instances already, at the same place in all of them.`}
          onChange={({ detail }) => change({ on: detail.checked })}
        >
          Run scripts
        </Toggle>
        {draft.on && (
          <>
            <div className="hf-row">
              <div className="hf-grow">
                <FormField label="Before the snapshot" errorText={error(`${path}.pre.path`, `=${path}`)}>
                  <Input value={draft.pre} placeholder={example} spellcheck={false} onChange={({ detail }) => change({ pre: detail.value })} />
                </FormField>
              </div>
              <div className="hf-grow">
                <FormField label="Arguments before" errorText={error(`${path}.pre.arguments`)}>
                  <Input value={draft.preArguments} placeholder="%instance%" spellcheck={false} onChange={({ detail }) => change({ preArguments: detail.value })} />
                </FormField>
              </div>
            </div>
            <div className="hf-row">
              <div className="hf-grow">
                <FormField label="After the snapshot" errorText={error(`${path}.post.path`)}>
                  <Input value={draft.post} placeholder={example.replace("freeze", "thaw")} spellcheck={false} onChange={({ detail }) => change({ post: detail.value })} />
                </FormField>
              </div>
              <div className="hf-grow">
                <FormField label="Arguments after" errorText={error(`${path}.post.arguments`)}>
                  <Input value={draft.postArguments} spellcheck={false} onChange={({ detail }) => change({ postArguments: detail.value })} />
                </FormField>
              </div>
            </div>
            <FormField
              label="Time limit of each script, in seconds"
              constraintText="Arguments may hold %policy%, %instance%, %instanceId%, %region%, %moment% and %backup%."
              errorText={error(`${path}.timeoutSeconds`)}
            >
              <Input type="number" inputMode="numeric" value={draft.timeoutSeconds} onChange={({ detail }) => change({ timeoutSeconds: detail.value })} />
            </FormField>
            <Checkbox checked={draft.onlyForBackups} onChange={({ detail }) => change({ onlyForBackups: detail.checked })}>
              Only for snapshots a backup is made from
            </Checkbox>
            <Checkbox
              checked={draft.ignoreMissing}
              description="The snapshot is made although the script is not there, or the instance cannot be reached."
              onChange={({ detail }) => change({ ignoreMissing: detail.checked })}
            >
              Go on without a missing script
            </Checkbox>
            <Checkbox
              checked={draft.ignoreExitCodes}
              description="The snapshot is made although the script says that it failed."
              onChange={({ detail }) => change({ ignoreExitCodes: detail.checked })}
            >
              Go on after a failed script
            </Checkbox>
          </>
        )}
      </SpaceBetween>
    </Container>
  );
}
