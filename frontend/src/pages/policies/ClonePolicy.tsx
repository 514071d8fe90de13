import { useState } from "react";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import { useNavigate } from "react-router";
import { ClonePolicyDocument } from "../../api/generated";
import { fieldError } from "../../api/errors";
import { useCommand } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { paths } from "../../app/paths";
import { Confirm } from "../../ui/Confirm";

interface ClonePolicyProps {
  readonly policy: { readonly id: string; readonly name: string };
  readonly onClose: () => void;
  readonly onChanged: () => void;
}

/** A copy under another name, then its page. */
export function ClonePolicy({ policy, onClose, onChanged }: ClonePolicyProps) {
  const [name, setName] = useState(`${policy.name} copy`);
  const clone = useCommand(ClonePolicyDocument);
  const notifications = useNotifications();
  const navigate = useNavigate();
  async function run(): Promise<void> {
    const { data } = await clone.run({ input: { id: policy.id, name: name.trim(), clientMutationId: clone.key } });
    const made = data?.clonePolicy.policy;
    if (!made) return;
    notifications.success(`Policy ${made.name} is created, disabled.`);
    onChanged();
    onClose();
    void navigate(paths.policy(made.id));
  }
  return (
    <Confirm title={`Clone ${policy.name}`} action="Clone" busy={clone.busy} problem={clone.problem} onConfirm={() => void run()} onClose={onClose}>
      <FormField label="Name of the copy" errorText={fieldError(clone.problem, "name")}>
        <Input value={name} onChange={({ detail }) => setName(detail.value)} autoFocus />
      </FormField>
      <div>It has all settings of {policy.name}, is disabled, and comes after all other policies of its kind. Restore points are not copied.</div>
    </Confirm>
  );
}
