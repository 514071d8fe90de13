import { useState } from "react";
import Checkbox from "@cloudscape-design/components/checkbox";
import RadioGroup from "@cloudscape-design/components/radio-group";
import { useNavigate } from "react-router";
import { StartPolicyDocument, type PolicyRowFragment } from "../../api/generated";
import { useCommand } from "../../api/useData";
import { paths } from "../../app/paths";
import { count } from "../../format/text";
import { Confirm } from "../../ui/Confirm";

/** Starts a policy now, then shows its session. */
export function RunPolicy({ policy, onClose }: { policy: PolicyRowFragment; onClose: () => void }) {
  const backups = policy.repository !== null || policy.storageTemplate !== null;
  const [backup, setBackup] = useState(backups);
  const [archive, setArchive] = useState(false);
  const start = useCommand(StartPolicyDocument);
  const navigate = useNavigate();

  async function run(): Promise<void> {
    const { data } = await start.run({ input: { id: policy.id, backup, archive: backup && archive, clientMutationId: start.key } });
    if (!data) return;
    const { session } = data.startPolicy;
    onClose();
    if (session) void navigate(paths.session(session.id));
  }

  return (
    <Confirm title={`Run ${policy.name} now`} action="Run" busy={start.busy} problem={start.problem} onConfirm={() => void run()} onClose={onClose}>
      <div>It covers {count(policy.resourceCount, "instance")} at the moment. Their restore points are kept as those of its most frequent schedule.</div>
      {backups && (
        <RadioGroup
          ariaLabel="What to make"
          value={backup ? "backup" : "snapshot"}
          onChange={({ detail }) => setBackup(detail.value === "backup")}
          items={[
            {
              value: "backup",
              label: "Snapshot and backup",
              description: policy.repository ? `Into the repository ${policy.repository.name}` : "Where the storage template says",
            },
            { value: "snapshot", label: "Snapshot only", description: "Seconds instead of minutes" },
          ]}
        />
      )}
      {backup && policy.archiveRepository && (
        <Checkbox checked={archive} onChange={({ detail }) => setArchive(detail.checked)} description={`Into ${policy.archiveRepository.name}`}>
          Archive the backup, too
        </Checkbox>
      )}
    </Confirm>
  );
}
