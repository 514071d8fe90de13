import { StopPolicyDocument } from "../../api/generated";
import { useCommand } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { count } from "../../format/text";
import { Confirm } from "../../ui/Confirm";

interface StopPolicyProps {
  readonly policy: { readonly id: string; readonly name: string };
  readonly onClose: () => void;
  readonly onChanged: () => void;
}

/** Cancels what a policy has under way. */
export function StopPolicy({ policy, onClose, onChanged }: StopPolicyProps) {
  const stop = useCommand(StopPolicyDocument);
  const notifications = useNotifications();
  async function run(): Promise<void> {
    const { data } = await stop.run({ input: { id: policy.id } });
    if (!data) return;
    notifications.success(`${count(data.stopPolicy.sessions.length, "session")} of ${policy.name} being stopped.`);
    onChanged();
    onClose();
  }
  return (
    <Confirm title={`Stop ${policy.name}?`} action="Stop" busy={stop.busy} problem={stop.problem} onConfirm={() => void run()} onClose={onClose}>
      <ul className="hf-sentences">
        <li>What is under way ends within seconds, and what was half made is removed.</li>
        <li>Restore points that are already complete stay.</li>
        <li>Its schedule goes on: the next run comes at its time.</li>
      </ul>
    </Confirm>
  );
}
