import { useState } from "react";
import FileUpload from "@cloudscape-design/components/file-upload";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { ImportPoliciesDocument } from "../../api/generated";
import { useCommand } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { count, list } from "../../format/text";
import { Confirm } from "../../ui/Confirm";
import { namesIn } from "./importedNames";

/** Creates the policies of an exported file, under names that are still free; checked before anything is created. */
export function ImportPolicies({ onClose }: { onClose: () => void }) {
  const [files, setFiles] = useState<File[]>([]);
  const [document, setDocument] = useState("");
  const [names, setNames] = useState<readonly { name: string; newName: string }[]>([]);
  const [checked, setChecked] = useState(false);
  const check = useCommand(ImportPoliciesDocument);
  const create = useCommand(ImportPoliciesDocument);
  const notifications = useNotifications();
  const unreadable = document !== "" && names.length === 0 ? "This is no file of exported policies." : undefined;

  async function read(file: File | undefined): Promise<void> {
    setFiles(file ? [file] : []);
    setChecked(false);
    check.reset();
    create.reset();
    const text = file ? await file.text() : "";
    setDocument(text);
    setNames(namesIn(text).map((name) => ({ name, newName: name })));
  }

  async function run(): Promise<void> {
    const input = { document, names: names.map(({ name, newName }) => ({ name, newName: newName.trim() })) };
    if (!checked) {
      const { problem } = await check.run({ input: { ...input, dryRun: true } });
      setChecked(problem === null);
      return;
    }
    const { data } = await create.run({ input });
    if (!data) return;
    notifications.success(`${list(data.importPolicies.policies.map((policy) => policy.name))} imported.`);
    onClose();
  }

  return (
    <Confirm
      title="Import policies"
      action={checked ? "Import" : "Check"}
      busy={check.busy || create.busy}
      disabled={names.length === 0}
      problem={create.problem ?? check.problem}
      onConfirm={() => void run()}
      onClose={onClose}
    >
      <FormField label="File" description="Exported from this appliance or another one. Accounts, repositories and templates are found by their names." errorText={unreadable}>
        <FileUpload
          accept=".json,application/json"
          value={files}
          i18nStrings={{
            uploadButtonText: () => "Choose file",
            dropzoneText: () => "Drop the file here",
            removeFileAriaLabel: () => "Remove the file",
            limitShowFewer: "Show fewer",
            limitShowMore: "Show more",
            errorIconAriaLabel: "Error",
          }}
          onChange={({ detail }) => void read(detail.value[0])}
        />
      </FormField>
      {names.length > 0 && (
        <FormField label={`${count(names.length, "policy")} in it`} description="Under which names they are created.">
          <SpaceBetween size="xs">
            {names.map(({ name, newName }, index) => (
              <Input
                key={name}
                ariaLabel={`New name of ${name}`}
                value={newName}
                onChange={({ detail }) => {
                  setChecked(false);
                  setNames(names.map((each, at) => (at === index ? { name, newName: detail.value } : each)));
                }}
              />
            ))}
          </SpaceBetween>
        </FormField>
      )}
      {checked && !create.problem && <StatusIndicator type="success">Checked: they can be created. Nothing has been created yet.</StatusIndicator>}
    </Confirm>
  );
}
