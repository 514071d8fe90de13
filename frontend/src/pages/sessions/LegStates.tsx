import Popover from "@cloudscape-design/components/popover";
import StatusIndicator, { type StatusIndicatorProps } from "@cloudscape-design/components/status-indicator";
import type { LegState, SessionDetailQuery, TaskLegName } from "../../api/generated";
import "../../ui/flags.css";

type Session = Extract<NonNullable<SessionDetailQuery["node"]>, { __typename: "Session" }>;
type TaskLeg = Session["tasks"][number]["legs"][number];

const NAME: Record<TaskLegName, string> = {
  GUEST: "Guest processing",
  SNAPSHOT: "Snapshot",
  REPLICA: "Replica",
  BACKUP: "Backup",
  VERIFICATION: "Verification",
  ARCHIVE: "Archive",
};
const STATE: Record<LegState, { type: StatusIndicatorProps.Type; text: string }> = {
  PENDING: { type: "pending", text: "waiting" },
  RUNNING: { type: "in-progress", text: "running" },
  SUCCESS: { type: "success", text: "done" },
  WARNING: { type: "warning", text: "warning" },
  ERROR: { type: "error", text: "failed" },
  SKIPPED: { type: "stopped", text: "left out" },
};

/** What became of each leg of a task; what is worth knowing about one is a click away. */
export function LegStates({ legs }: { legs: readonly TaskLeg[] }) {
  if (legs.length === 0) return <>–</>;
  return (
    <ul className="hf-leg-states">
      {legs.map((leg) => (
        <li key={leg.leg}>
          <One leg={leg} />
        </li>
      ))}
    </ul>
  );
}

function One({ leg }: { leg: TaskLeg }) {
  const { type, text } = STATE[leg.state];
  const indicator = (
    <StatusIndicator wrapText={false} type={type} iconAriaLabel={text}>
      {NAME[leg.leg]}
    </StatusIndicator>
  );
  if (!leg.message) return <span title={`${NAME[leg.leg]}: ${text}`}>{indicator}</span>;
  return (
    <Popover dismissButton={false} position="top" size="medium" triggerType="text" header={`${NAME[leg.leg]}: ${text}`} content={leg.message}>
      {indicator}
    </Popover>
  );
}
