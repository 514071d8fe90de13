import { useEffect, useState } from "react";
import Alert from "@cloudscape-design/components/alert";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import Checkbox from "@cloudscape-design/components/checkbox";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { DeleteRestorePointSetDocument, type PointSet } from "../../api/generated";
import { useCommand } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { count, list } from "../../format/text";
import { Confirm } from "../../ui/Confirm";

interface RemoveSetProps {
  readonly resources: readonly { readonly id: string; readonly name: string }[];
}

const SETS: Record<PointSet, { text: string; noun: string; note?: string }> = {
  ALL_SNAPSHOTS: { text: "All snapshots and replicas", noun: "snapshot", note: "Also the manual ones." },
  LOCAL_SNAPSHOTS: { text: "Snapshots", noun: "snapshot", note: "Those of policies, in the instance's own place." },
  REPLICAS: { text: "Replicas", noun: "replica" },
  MANUAL_SNAPSHOTS: { text: "Manual snapshots", noun: "manual snapshot" },
  ALL_BACKUPS: { text: "All backups and archives", noun: "backup" },
  STANDARD_BACKUPS: { text: "Backups", noun: "backup" },
  ARCHIVES: { text: "Archives", noun: "archive", note: "Deleting them early may cost a fee." },
  EVERYTHING: { text: "Everything", noun: "restore point" },
};

const GROUPS: readonly { text: string; sets: readonly PointSet[] }[] = [
  { text: "Snapshots", sets: ["ALL_SNAPSHOTS", "LOCAL_SNAPSHOTS", "REPLICAS", "MANUAL_SNAPSHOTS"] },
  { text: "Backups", sets: ["ALL_BACKUPS", "STANDARD_BACKUPS", "ARCHIVES"] },
];

/** Deletes a whole set of restore points; counts them before it asks. */
export function RemoveSet({ resources }: RemoveSetProps) {
  const [set, setSet] = useState<PointSet | null>(null);
  const item = (id: PointSet) => ({ id, text: SETS[id].text, secondaryText: SETS[id].note });
  return (
    <>
      <ButtonDropdown
        disabled={resources.length === 0}
        expandToViewport
        items={[...GROUPS.map((group) => ({ text: group.text, items: group.sets.map(item) })), item("EVERYTHING")]}
        onItemClick={({ detail }) => setSet(detail.id as PointSet)}
      >
        Remove
      </ButtonDropdown>
      {set && <Ask resources={resources} set={set} onClose={() => setSet(null)} />}
    </>
  );
}

function Ask({ resources, set, onClose }: RemoveSetProps & { set: PointSet; onClose: () => void }) {
  const [found, setFound] = useState<number | null>(null);
  const [understood, setUnderstood] = useState(false);
  const check = useCommand(DeleteRestorePointSetDocument);
  const remove = useCommand(DeleteRestorePointSetDocument);
  const notifications = useNotifications();
  const ids = resources.map((resource) => resource.id).join(" ");
  const runCheck = check.run;
  useEffect(() => {
    let stopped = false;
    void runCheck({ input: { resourceIds: ids.split(" "), set, dryRun: true } }).then(({ data }) => {
      if (!stopped) setFound(data?.deleteRestorePointSet.count ?? null);
    });
    return () => {
      stopped = true;
    };
  }, [ids, runCheck, set]);

  async function run(): Promise<void> {
    const { data } = await remove.run({ input: { resourceIds: ids.split(" "), set, clientMutationId: remove.key } });
    if (!data) return;
    if (data.deleteRestorePointSet.session) notifications.session(data.deleteRestorePointSet.session);
    onClose();
  }

  const { text, noun, note } = SETS[set];
  return (
    <Confirm
      title={`${text} of ${list(resources.slice(0, 3).map((resource) => resource.name))}`}
      action="Remove"
      busy={remove.busy}
      disabled={!understood || !found}
      problem={remove.problem ?? check.problem}
      onConfirm={() => void run()}
      onClose={onClose}
    >
      {check.busy && <StatusIndicator type="loading">Counting</StatusIndicator>}
      {found === 0 && <div>There is none: nothing would be removed.</div>}
      {found !== null && found > 0 && (
        <>
          <Alert type="warning" header={`${count(found, noun)} will be deleted`}>
            {note} Snapshots are deleted in AWS, backups and archives in their repositories. Nothing has been deleted yet.
          </Alert>
          <Checkbox checked={understood} onChange={({ detail }) => setUnderstood(detail.checked)}>
            I understand that this cannot be undone.
          </Checkbox>
        </>
      )}
    </Confirm>
  );
}
