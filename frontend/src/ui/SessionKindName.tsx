import Icon, { type IconProps } from "@cloudscape-design/components/icon";
import type { SessionKind } from "../api/generated";
import { SESSION_KIND } from "../format/words";

const SESSION_ICON: Record<SessionKind, IconProps.Name> = {
  POLICY_RUN: "security",
  RESCAN: "search",
  VOLUME_RESTORE: "undo",
  INSTANCE_RESTORE: "undo",
  DELETE_POINTS: "remove",
  REPOSITORY_MAINTENANCE: "shrink",
  HEALTH_CHECK: "heart",
  REPOSITORY_CHECK: "zoom-in",
  REPOSITORY_RESCAN: "refresh",
  VERIFICATION: "check",
  ARCHIVE: "folder",
  RETRIEVAL: "download",
  RETENTION: "calendar",
  MANUAL_SNAPSHOT: "copy",
  PRICES: "file",
};

/** What a session is about, the same everywhere. */
export function SessionKindName({ kind }: { kind: SessionKind }) {
  return (
    <span className="hf-kind">
      <Icon name={SESSION_ICON[kind]} variant="subtle" />
      <span>{SESSION_KIND[kind]}</span>
    </span>
  );
}
