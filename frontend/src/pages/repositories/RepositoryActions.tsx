import { useState } from "react";
import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import {
  CollectGarbageDocument,
  RemoveRepositoryDocument,
  RescanRepositoryDocument,
  type RepositoryRowFragment,
} from "../../api/generated";
import { useCommand } from "../../api/useData";
import { useNotifications } from "../../app/notifications";
import { count } from "../../format/text";
import { Confirm } from "../../ui/Confirm";
import { CheckRepository } from "./CheckRepository";
import { EditRepository } from "./EditRepository";

type Action = "edit" | "rescan" | "check" | "collect" | "remove";

interface RepositoryActionsProps {
  readonly repository: RepositoryRowFragment | null;
  readonly onChanged: () => void;
  readonly onRemoved: () => void;
}

/** Everything that can be done with a repository, on its page and in the list. */
export function RepositoryActions({ repository, onChanged, onRemoved }: RepositoryActionsProps) {
  const [asking, setAsking] = useState<Action | null>(null);
  const close = () => setAsking(null);
  return (
    <>
      <ButtonDropdown
        disabled={!repository}
        expandToViewport
        items={[
          { id: "edit", text: "Edit", secondaryText: "Name, description, password or key" },
          { id: "rescan", text: "Rescan", secondaryText: "Look which backups it holds" },
          { id: "check", text: "Check", secondaryText: "Is everything there and intact?" },
          { id: "collect", text: "Collect garbage", secondaryText: "Free space no restore point needs" },
          { id: "remove", text: "Remove", secondaryText: "Its files stay" },
        ]}
        onItemClick={({ detail }) => setAsking(detail.id as Action)}
      >
        Actions
      </ButtonDropdown>
      {repository && asking === "edit" && <EditRepository repository={repository} onClose={close} onSaved={onChanged} />}
      {repository && asking === "check" && <CheckRepository repository={repository} onClose={close} />}
      {repository && asking === "rescan" && <Rescan repository={repository} onClose={close} />}
      {repository && asking === "collect" && <Collect repository={repository} onClose={close} />}
      {repository && asking === "remove" && (
        <Remove
          repository={repository}
          onClose={close}
          onRemoved={() => {
            close();
            onRemoved();
          }}
        />
      )}
    </>
  );
}

interface AskProps {
  readonly repository: RepositoryRowFragment;
  readonly onClose: () => void;
}

function Rescan({ repository, onClose }: AskProps) {
  const rescan = useCommand(RescanRepositoryDocument);
  const notifications = useNotifications();
  return (
    <Confirm
      title={`Rescan ${repository.name}?`}
      action="Rescan"
      busy={rescan.busy}
      problem={rescan.problem}
      onClose={onClose}
      onConfirm={() => {
        void rescan.run({ input: { id: repository.id, clientMutationId: rescan.key } }).then(({ data }) => {
          if (!data) return;
          if (data.rescanRepository.session) notifications.session(data.rescanRepository.session);
          onClose();
        });
      }}
    >
      The list of backups is compared with what the repository really holds: new ones are imported, lost ones are noted. This also happens by itself
      every day.
    </Confirm>
  );
}

function Collect({ repository, onClose }: AskProps) {
  const collect = useCommand(CollectGarbageDocument);
  const notifications = useNotifications();
  return (
    <Confirm
      title={`Collect garbage in ${repository.name}?`}
      action="Collect garbage"
      busy={collect.busy}
      problem={collect.problem}
      onClose={onClose}
      onConfirm={() => {
        void collect.run({ input: { id: repository.id, clientMutationId: collect.key } }).then(({ data }) => {
          if (!data) return;
          if (data.collectGarbage.session) notifications.session(data.collectGarbage.session);
          onClose();
        });
      }}
    >
      Data that no restore point needs is deleted, and what is left is packed more tightly where that pays. It takes two passes with some time between
      them, so space may be freed only by the next one. Backups can run meanwhile.
    </Confirm>
  );
}

function Remove({ repository, onClose, onRemoved }: AskProps & { onRemoved: () => void }) {
  const remove = useCommand(RemoveRepositoryDocument);
  const notifications = useNotifications();
  return (
    <Confirm
      title={`Remove ${repository.name}?`}
      action="Remove"
      busy={remove.busy}
      problem={remove.problem}
      onClose={onClose}
      onConfirm={() => {
        void remove.run({ input: { id: repository.id } }).then(({ problem }) => {
          if (problem) return;
          notifications.success(`Repository ${repository.name} is removed from Holdfast; its files are still there.`);
          onRemoved();
        });
      }}
    >
      <ul className="hf-sentences">
        <li>Its files stay where they are, at {repository.url}.</li>
        <li>
          {repository.pointCount > 0
            ? `${count(repository.pointCount, "backup")} can no longer be restored from here until it is added again.`
            : "It holds no backup."}
        </li>
        <li>
          {repository.encryption === "KMS"
            ? "To add it again you need its key."
            : "To add it again you need its password. Holdfast forgets it."}
        </li>
      </ul>
    </Confirm>
  );
}
