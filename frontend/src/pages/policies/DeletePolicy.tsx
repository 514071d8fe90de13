import { DeletePolicyDocument } from "../../api/generated";
import { useCommand } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { count } from "../../format/text";
import { Confirm } from "../../ui/Confirm";

interface DeletePolicyProps {
  readonly policy: { readonly id: string; readonly name: string; readonly resourceCount: number };
  readonly onClose: () => void;
  readonly onDeleted: () => void;
}

export function DeletePolicy({ policy, onClose, onDeleted }: DeletePolicyProps) {
  const remove = useCommand(DeletePolicyDocument);
  const notifications = useNotifications();
  return (
    <Confirm
      title={`Delete ${policy.name}?`}
      action="Delete"
      busy={remove.busy}
      problem={remove.problem}
      onClose={onClose}
      onConfirm={() => {
        void remove.run({ input: { id: policy.id } }).then(({ problem }) => {
          if (problem) return;
          notifications.success(`Policy ${policy.name} is deleted.`);
          onDeleted();
        });
      }}
    >
      <ul className="hf-sentences">
        <li>
          {policy.resourceCount > 0
            ? `${count(policy.resourceCount, "resource")} ${policy.resourceCount === 1 ? "is" : "are"} no longer protected by it.`
            : "It covers no resource at the moment."}
        </li>
        <li>
          Restore points it has made stay, and can be restored. Backups and archives expire when they reach the age they were made for; snapshots and
          replicas stay until somebody deletes them, unless the preferences say how old they may get.
        </li>
        <li>Its sessions stay in the list.</li>
      </ul>
    </Confirm>
  );
}
