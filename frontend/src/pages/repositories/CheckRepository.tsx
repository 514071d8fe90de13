import { useState } from "react";
import Alert from "@cloudscape-design/components/alert";
import FormField from "@cloudscape-design/components/form-field";
import RadioGroup from "@cloudscape-design/components/radio-group";
import Select from "@cloudscape-design/components/select";
import { CheckRepositoryDocument, type CheckLevel, type RepositoryRowFragment } from "../../api/generated";
import { useCommand } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { size } from "../../format/size";
import { CHECK_LEVEL } from "../../format/words";
import { Confirm } from "../../ui/Confirm";

const LEVELS: readonly { value: CheckLevel; description: string }[] = [
  { value: "STRUCTURE", description: "Reads the list of contents of every backup. Seconds to minutes." },
  { value: "AVAILABLE", description: "Also looks whether every file is there and locked as promised. Minutes." },
  { value: "CONTENT", description: "Also reads the stored data and compares every block." },
];
const SHARES: readonly { value: string; label: string }[] = [
  { value: "1", label: "All data" },
  { value: "7", label: "A seventh: another one each day, all of it in a week" },
  { value: "30", label: "A thirtieth: another one each day, all of it in a month" },
];

/** Asks how closely to look, and starts the check. */
export function CheckRepository({ repository, onClose }: { repository: RepositoryRowFragment; onClose: () => void }) {
  const archive = repository.storageClass !== "STANDARD";
  const [level, setLevel] = useState<CheckLevel>("AVAILABLE");
  const [shares, setShares] = useState("1");
  const check = useCommand(CheckRepositoryDocument);
  const notifications = useNotifications();
  const share = SHARES.find((each) => each.value === shares) ?? SHARES[0]!;

  async function start(): Promise<void> {
    const { data } = await check.run({
      input: { id: repository.id, level, shares: level === "CONTENT" ? Number(shares) : 1, clientMutationId: check.key },
    });
    if (!data) return;
    if (data.checkRepository.session) notifications.session(data.checkRepository.session);
    onClose();
  }

  return (
    <Confirm
      title={`Check ${repository.name}`}
      action="Check"
      busy={check.busy}
      problem={check.problem}
      onConfirm={() => void start()}
      onClose={onClose}
    >
      <RadioGroup
        ariaLabel="What is checked"
        value={level}
        onChange={({ detail }) => setLevel(detail.value as CheckLevel)}
        items={LEVELS.map((each) => ({ ...each, label: CHECK_LEVEL[each.value], disabled: archive && each.value === "CONTENT" }))}
      />
      {archive && <Alert type="info">The data of an archive cannot be read without retrieving it: a restore proves its content.</Alert>}
      {level === "CONTENT" && (
        <FormField label="How much is read" constraintText={`The repository holds ${size(repository.storedBytes)}.`}>
          <Select
            selectedOption={share}
            options={SHARES}
            expandToViewport
            onChange={({ detail }) => setShares(detail.selectedOption.value ?? "1")}
          />
        </FormField>
      )}
      <div>Backups can run meanwhile. Restore points that are damaged are marked as incomplete, and the next backup heals what it can.</div>
    </Confirm>
  );
}
