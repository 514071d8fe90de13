import Box from "@cloudscape-design/components/box";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import type { PointRowFragment } from "../../api/generated";
import { paths } from "../../app/paths";
import { HEALTH, PROOF, RETRIEVAL_STATE } from "../../format/words";
import { RouterLink } from "../../ui/RouterLink";
import { When } from "../../ui/When";

/** Of what lies in a repository; AWS looks after its snapshots itself. An incomplete one leads to what is damaged. */
export function PointHealth({ point }: { point: PointRowFragment }) {
  if (!point.repository) return <Box color="text-body-secondary">–</Box>;
  if (point.health === "HEALTHY") {
    return (
      <StatusIndicator type="success" wrapText={false}>
        {HEALTH.HEALTHY}
      </StatusIndicator>
    );
  }
  return (
    <div>
      <StatusIndicator type="error" wrapText={false}>
        {HEALTH.INCOMPLETE}
      </StatusIndicator>
      <div>
        <RouterLink to={paths.point(point.id)} fontSize="body-s">
          Show damage
        </RouterLink>
      </div>
    </div>
  );
}

/** When its content was last compared with what was read from the source, and how. */
export function Proven({ point }: { point: PointRowFragment }) {
  if (!point.repository) return null;
  if (!point.provenAt) return <>Not proven yet</>;
  return (
    <>
      Proven <When at={point.provenAt} ago />
      {point.provenHow && ` ${PROOF[point.provenHow]}`}
    </>
  );
}

/** Why it is there still, in the server's words, and when nobody can delete it before. */
export function Kept({ point }: { point: PointRowFragment }) {
  return (
    <div>
      {point.keptBecause}
      {point.lockedUntil && (
        <Box color="text-body-secondary" fontSize="body-s">
          Locked until <When at={point.lockedUntil} />
        </Box>
      )}
    </div>
  );
}

/** Whether an archive can be read now. */
export function RetrievalIndicator({ retrieval }: { retrieval: PointRowFragment["retrieval"] }) {
  if (!retrieval) return <StatusIndicator type="stopped">Not retrieved</StatusIndicator>;
  if (retrieval.state === "REQUESTED") return <StatusIndicator type="in-progress">{RETRIEVAL_STATE.REQUESTED}</StatusIndicator>;
  if (retrieval.state === "EXPIRED") return <StatusIndicator type="stopped">{RETRIEVAL_STATE.EXPIRED}</StatusIndicator>;
  return (
    <StatusIndicator type="success">
      {RETRIEVAL_STATE.AVAILABLE}
      {retrieval.availableUntil && (
        <>
          {" "}
          until <When at={retrieval.availableUntil} />
        </>
      )}
    </StatusIndicator>
  );
}
