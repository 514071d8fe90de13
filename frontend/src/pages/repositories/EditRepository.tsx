import { useState } from "react";
import Alert from "@cloudscape-design/components/alert";
import Checkbox from "@cloudscape-design/components/checkbox";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import RadioGroup from "@cloudscape-design/components/radio-group";
import { UpdateRepositoryDocument, type RepositoryRowFragment } from "../../api/generated";
import { fieldError } from "../../api/errors";
import { useCommand } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { Confirm } from "../../ui/Confirm";
import { newPasswordProblems } from "./draft";
import { NewPassword } from "./NewPassword";
import { HintField } from "./steps";

type Opener = "same" | "password" | "key";

/** Name, description, hint, and what opens the repository. */
export function EditRepository({ repository, onClose, onSaved }: { repository: RepositoryRowFragment; onClose: () => void; onSaved: () => void }) {
  const [name, setName] = useState(repository.name);
  const [description, setDescription] = useState(repository.description);
  const [hint, setHint] = useState(repository.hint);
  const [opener, setOpener] = useState<Opener>("same");
  const [secret, setSecret] = useState({ password: "", again: "", kept: false });
  const [kmsKey, setKmsKey] = useState("");
  const [takeOver, setTakeOver] = useState(false);
  const [tried, setTried] = useState(false);
  const update = useCommand(UpdateRepositoryDocument);
  const notifications = useNotifications();

  const wrong: Record<string, string> = opener === "password" ? newPasswordProblems(secret.password, secret.again, secret.kept) : {};
  if (name.trim() === "") wrong.name = "Give the repository a name.";
  if (opener === "key" && kmsKey.trim() === "") wrong.kmsKey = "Enter the key's ARN.";
  const error = (field: string) => (tried ? wrong[field] : undefined) ?? fieldError(update.problem, field);
  const withPassword = opener === "password" || (opener === "same" && repository.encryption === "PASSWORD");

  async function save(): Promise<void> {
    setTried(true);
    if (Object.keys(wrong).length > 0) return;
    const { data } = await update.run({
      input: {
        id: repository.id,
        name: name.trim(),
        description: description.trim(),
        hint: withPassword ? hint.trim() : "",
        password: opener === "password" ? secret.password : null,
        kmsKey: opener === "key" ? kmsKey.trim() : null,
        takeOver,
        clientMutationId: update.key,
      },
    });
    if (!data) return;
    notifications.success(`Repository ${name.trim()} is saved.`);
    onSaved();
    onClose();
  }

  return (
    <Confirm
      title={`Edit ${repository.name}`}
      action="Save changes"
      busy={update.busy}
      problem={update.problem}
      onConfirm={() => void save()}
      onClose={onClose}
    >
      <FormField label="Name" errorText={error("name")}>
        <Input value={name} onChange={({ detail }) => setName(detail.value)} />
      </FormField>
      <FormField label={<>Description <i>- optional</i></>} errorText={error("description")}>
        <Input value={description} onChange={({ detail }) => setDescription(detail.value)} />
      </FormField>
      <FormField label="Opens with">
        <RadioGroup
          value={opener}
          onChange={({ detail }) => setOpener(detail.value as Opener)}
          items={[
            { value: "same", label: repository.encryption === "KMS" ? "The same key as before" : "The same password as before" },
            { value: "password", label: "A new password" },
            // A folder on a disk belongs to no account whose key it could open with.
            ...(repository.account ? [{ value: "key", label: repository.encryption === "KMS" ? "Another AWS KMS key" : "An AWS KMS key" }] : []),
          ]}
        />
      </FormField>
      {opener !== "same" && (
        <Alert type="info">What opened the repository until now does not open it any more. No stored data is written again.</Alert>
      )}
      {opener === "password" && <NewPassword {...secret} error={error} change={(part) => setSecret((now) => ({ ...now, ...part }))} />}
      {opener === "key" && (
        <FormField label="Key ARN" errorText={error("kmsKey")}>
          <Input
            value={kmsKey}
            placeholder="arn:aws:kms:us-east-1:111122223333:key/…"
            spellcheck={false}
            onChange={({ detail }) => setKmsKey(detail.value)}
          />
        </FormField>
      )}
      {withPassword && <HintField hint={hint} wrong={error("hint")} onChange={setHint} />}
      {repository.state === "UNAVAILABLE" && (
        <FormField errorText={error("takeOver")}>
          <Checkbox
            checked={takeOver}
            description="If another appliance has taken the repository over. Backups of that one fail from then on."
            onChange={({ detail }) => setTakeOver(detail.checked)}
          >
            This appliance takes the repository back.
          </Checkbox>
        </FormField>
      )}
    </Confirm>
  );
}
