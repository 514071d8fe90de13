import { useNavigate } from "react-router";
import { StartHealthCheckDocument, type PolicyRowFragment } from "../../api/generated";
import { useCommand } from "../../api/useData";
import { paths } from "../../app/paths";
import { Confirm } from "../../ui/Confirm";

/** Checks a policy's backups now, then shows the session. */
export function RunHealthCheck({ policy, onClose }: { policy: PolicyRowFragment; onClose: () => void }) {
  const start = useCommand(StartHealthCheckDocument);
  const navigate = useNavigate();

  async function run(): Promise<void> {
    const { data } = await start.run({ input: { id: policy.id, clientMutationId: start.key } });
    if (!data) return;
    const { session } = data.startHealthCheck;
    onClose();
    if (session) void navigate(paths.session(session.id));
  }

  return (
    <Confirm
      title={`Check the health of the backups of ${policy.name}?`}
      action="Run health check"
      busy={start.busy}
      problem={start.problem}
      onConfirm={() => void run()}
      onClose={onClose}
    >
      <div>
        Is everything that these backups need in the repository{policy.repository && ` ${policy.repository.name}`}? All of it is looked at, and a twelfth
        of the data is read and compared.
      </div>
      <div>Damaged restore points are marked as incomplete, and the next backup heals what it can.</div>
    </Confirm>
  );
}
