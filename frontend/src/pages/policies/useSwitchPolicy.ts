import { useCallback } from "react";
import { DisablePolicyDocument, EnablePolicyDocument } from "../../api/generated";
import { useCommand } from "../../api/useData";
import { useNotifications } from "../../app/notifications";

interface Switchable {
  readonly id: string;
  readonly name: string;
  readonly enabled: boolean;
}

/** Enables a disabled policy, disables an enabled one, and says so. */
export function useSwitchPolicy(): { run: (policy: Switchable) => Promise<void>; busy: boolean } {
  const enable = useCommand(EnablePolicyDocument);
  const disable = useCommand(DisablePolicyDocument);
  const notifications = useNotifications();
  const enabling = enable.run;
  const disabling = disable.run;
  const run = useCallback(
    async (policy: Switchable) => {
      const { problem } = await (policy.enabled ? disabling : enabling)({ input: { id: policy.id } });
      const done = policy.enabled ? "disabled" : "enabled";
      if (problem) notifications.failure(`Policy ${policy.name} could not be ${done}`, problem);
      else notifications.success(`Policy ${policy.name} is ${done}.`);
    },
    [disabling, enabling, notifications],
  );
  return { run, busy: enable.busy || disable.busy };
}
