import { useEffect, useState } from "react";
import Alert from "@cloudscape-design/components/alert";
import Checkbox from "@cloudscape-design/components/checkbox";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import { DeleteRestorePointsDocument, type PointRowFragment } from "../../api/generated";
import { useCommand } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { count, list } from "../../format/text";
import { size } from "../../format/size";
import { local } from "../../format/time";
import { LEG } from "../../format/words";
import { Confirm } from "../../ui/Confirm";

const NAMED = 8;

interface DeletePointsProps {
  readonly points: readonly PointRowFragment[];
  readonly onClose: () => void;
  readonly onStarted: () => void;
}

/** Shows what would go, lets the server check it without doing it, and deletes only after a second look. */
export function DeletePoints({ points, onClose, onStarted }: DeletePointsProps) {
  const [understood, setUnderstood] = useState(false);
  const [checked, setChecked] = useState(false);
  const check = useCommand(DeleteRestorePointsDocument);
  const remove = useCommand(DeleteRestorePointsDocument);
  const notifications = useNotifications();
  const ids = points.map((point) => point.id);
  const key = ids.join(" ");
  const tryOut = check.run;
  useEffect(() => {
    void tryOut({ input: { ids: key.split(" "), dryRun: true } }).then(({ problem }) => setChecked(problem === null));
  }, [key, tryOut]);

  async function start(): Promise<void> {
    const { data } = await remove.run({ input: { ids, clientMutationId: remove.key } });
    if (!data) return;
    if (data.deleteRestorePoints.session) notifications.session(data.deleteRestorePoints.session);
    onStarted();
  }

  const stored = points.reduce((sum, point) => sum + point.storedBytes, 0);
  const resources = [...new Set(points.map((point) => point.resourceName))];
  const bases = points.filter((point) => point.isChangeTrackingBase);
  return (
    <Confirm
      title={`Delete ${count(points.length, "restore point")}?`}
      action="Delete"
      busy={remove.busy}
      disabled={!understood || !checked}
      problem={remove.problem ?? check.problem}
      onConfirm={() => void start()}
      onClose={onClose}
    >
      <div>
        {list(resources.slice(0, NAMED))}
        {resources.length > NAMED && ` and ${resources.length - NAMED} more`} cannot be brought back to{" "}
        {points.length === 1 ? "this moment" : "these moments"} from there any more:
      </div>
      <ul className="hf-sentences">
        {points.slice(0, NAMED).map((point) => (
          <li key={point.id}>
            {local(point.at)}: {point.resourceName}, {LEG[point.leg].toLowerCase()}
          </li>
        ))}
        {points.length > NAMED && <li>and {points.length - NAMED} more</li>}
      </ul>
      {points.some((point) => point.leg === "SNAPSHOT" || point.leg === "REPLICA") && <div>Snapshots and replicas are deleted in AWS.</div>}
      {stored > 0 && (
        <div>Up to {size(stored)} in the repository are freed by its next garbage collections; data that other restore points share stays.</div>
      )}
      {bases.length > 0 && (
        <Alert type="warning">
          {bases.length === 1 ? "One of them is" : `${bases.length} of them are`} what the next backup builds on: without it, that backup reads the
          whole disk again.
        </Alert>
      )}
      {check.busy ? (
        <StatusIndicator type="loading">Checking that this can be done</StatusIndicator>
      ) : (
        checked && <StatusIndicator type="success">Checked: {points.length === 1 ? "it" : "they"} can be deleted. Nothing has been deleted yet.</StatusIndicator>
      )}
      <Checkbox checked={understood} onChange={({ detail }) => setUnderstood(detail.checked)}>
        I understand that this cannot be undone.
      </Checkbox>
    </Confirm>
  );
}
