import { DisablePolicyDocument, EnablePolicyDocument, type PolicyKind } from "../../api/generated";
import { useCommand } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { Confirm } from "../../ui/Confirm";

interface SwitchPolicyProps {
  readonly policy: { readonly id: string; readonly name: string; readonly enabled: boolean; readonly kind: PolicyKind };
  readonly onClose: () => void;
  readonly onChanged: () => void;
}

/** Enables a disabled policy, disables an enabled one; says first what that means. */
export function SwitchPolicy({ policy, onClose, onChanged }: SwitchPolicyProps) {
  const enable = useCommand(EnablePolicyDocument);
  const disable = useCommand(DisablePolicyDocument);
  const command = policy.enabled ? disable : enable;
  const notifications = useNotifications();
  const word = policy.enabled ? "Disable" : "Enable";
  async function run(): Promise<void> {
    const { problem } = await command.run({ input: { id: policy.id } });
    if (problem) return;
    notifications.success(`Policy ${policy.name} is ${word.toLowerCase()}d.`);
    onChanged();
    onClose();
  }
  return (
    <Confirm title={`${word} ${policy.name}?`} action={word} busy={command.busy} problem={command.problem} onConfirm={() => void run()} onClose={onClose}>
      <ul className="hf-sentences">
        {(policy.enabled ? DISABLED : ENABLED).map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
        {policy.enabled && policy.kind === "SCHEDULE" && <li>It can still be started by hand.</li>}
      </ul>
    </Confirm>
  );
}

const DISABLED = [
  "It no longer runs by itself, and its instances are free for other policies.",
  "Restore points it has made are still kept and deleted by its rules.",
];
const ENABLED = ["It runs at its next time. What it missed meanwhile is not made up for.", "Instances it covers are protected by it, unless another policy comes first."];
