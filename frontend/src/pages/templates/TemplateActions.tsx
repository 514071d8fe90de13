import { useState } from "react";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import { useNavigate } from "react-router";
import { CloneSlaTemplateDocument, CloneStorageTemplateDocument, DeleteSlaTemplateDocument, DeleteStorageTemplateDocument } from "../../api/generated";
import { fieldError } from "../../api/errors";
import { useCommand } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { paths } from "../../app/paths";
import { list } from "../../format/text";
import { Confirm } from "../../ui/Confirm";

interface Template {
  readonly id: string;
  readonly name: string;
  readonly policies: readonly { readonly name: string }[];
}

interface TemplateActionsProps {
  readonly kind: "sla" | "storage";
  readonly template: Template | null;
  readonly onChanged: () => void;
  readonly onDeleted?: () => void;
}

/** Cloning and deleting a template, in its list and on its page. */
export function TemplateActions({ kind, template, onChanged, onDeleted }: TemplateActionsProps) {
  const [asked, setAsked] = useState<"clone" | "delete" | null>(null);
  const users = template?.policies.map((policy) => policy.name) ?? [];
  const dialog = template && { kind, template, onClose: () => setAsked(null), onChanged };
  return (
    <>
      <ButtonDropdown
        disabled={!template}
        expandToViewport
        items={[
          { id: "clone", text: "Clone" },
          {
            id: "delete",
            text: "Delete",
            disabled: users.length > 0,
            disabledReason: users.length > 0 ? `Used by ${list(users.slice(0, 3))}${users.length > 3 ? " and others" : ""}.` : undefined,
          },
        ]}
        onItemClick={({ detail }) => setAsked(detail.id as "clone" | "delete")}
      >
        Actions
      </ButtonDropdown>
      {asked === "clone" && dialog && <Clone {...dialog} />}
      {asked === "delete" && dialog && <Remove {...dialog} onDeleted={onDeleted} />}
    </>
  );
}

interface DialogProps {
  readonly kind: "sla" | "storage";
  readonly template: Template;
  readonly onClose: () => void;
  readonly onChanged: () => void;
}

function Clone({ kind, template, onClose, onChanged }: DialogProps) {
  const [name, setName] = useState(`${template.name} copy`);
  const sla = useCommand(CloneSlaTemplateDocument);
  const storage = useCommand(CloneStorageTemplateDocument);
  const command = kind === "sla" ? sla : storage;
  const navigate = useNavigate();
  async function run(): Promise<void> {
    const input = { id: template.id, name: name.trim(), clientMutationId: command.key };
    const made =
      kind === "sla"
        ? (await sla.run({ input })).data?.cloneSlaTemplate.slaTemplate
        : (await storage.run({ input })).data?.cloneStorageTemplate.storageTemplate;
    if (!made) return;
    onChanged();
    onClose();
    void navigate(kind === "sla" ? paths.editSlaTemplate(made.id) : paths.editStorageTemplate(made.id));
  }
  return (
    <Confirm title={`Clone ${template.name}`} action="Clone" busy={command.busy} problem={command.problem} onConfirm={() => void run()} onClose={onClose}>
      <FormField label="Name of the copy" errorText={fieldError(command.problem, "name")}>
        <Input value={name} onChange={({ detail }) => setName(detail.value)} autoFocus />
      </FormField>
    </Confirm>
  );
}

function Remove({ kind, template, onClose, onChanged, onDeleted }: DialogProps & { onDeleted?: () => void }) {
  const sla = useCommand(DeleteSlaTemplateDocument);
  const storage = useCommand(DeleteStorageTemplateDocument);
  const command = kind === "sla" ? sla : storage;
  const notifications = useNotifications();
  async function run(): Promise<void> {
    const { problem } = await command.run({ input: { id: template.id } });
    if (problem) return;
    notifications.success(`Template ${template.name} is deleted.`);
    onChanged();
    onClose();
    onDeleted?.();
  }
  return (
    <Confirm title={`Delete ${template.name}?`} action="Delete" busy={command.busy} problem={command.problem} onConfirm={() => void run()} onClose={onClose}>
      <div>No policy uses it. Restore points are not touched.</div>
    </Confirm>
  );
}
