import type {
  AccountState,
  CheckLevel,
  Encryption,
  Health,
  Leg,
  PolicyKind,
  Proof,
  RepositoryState,
  RetrievalMode,
  RetrievalState,
  Role,
  SessionKind,
  State,
  StorageClass,
  StorageKind,
} from "../api/generated";

/** What the console calls things: one word each, everywhere. */
export const SESSION_KIND: Record<SessionKind, string> = {
  POLICY_RUN: "Policy run",
  RESCAN: "Rescan",
  VOLUME_RESTORE: "Volume restore",
  INSTANCE_RESTORE: "Instance restore",
  DELETE_POINTS: "Restore point deletion",
  REPOSITORY_MAINTENANCE: "Garbage collection",
  HEALTH_CHECK: "Health check",
  REPOSITORY_CHECK: "Repository check",
  REPOSITORY_RESCAN: "Repository rescan",
  VERIFICATION: "Verification",
  ARCHIVE: "Archiving",
  RETRIEVAL: "Retrieval",
  RETENTION: "Retention",
  MANUAL_SNAPSHOT: "Manual snapshot",
  PRICES: "Price list",
};

export const STATE: Record<State, string> = {
  PENDING: "Waiting",
  RUNNING: "Running",
  SUCCESS: "Success",
  WARNING: "Warning",
  ERROR: "Error",
  CANCELLED: "Cancelled",
};

export const LEG: Record<Leg, string> = { SNAPSHOT: "Snapshot", REPLICA: "Replica", BACKUP: "Backup", ARCHIVE: "Archive" };

export const POLICY_KIND: Record<PolicyKind, string> = { SCHEDULE: "By schedule", SLA: "By SLA" };

export const ACCOUNT_STATE: Record<AccountState, string> = {
  UNCHECKED: "Not checked yet",
  AVAILABLE: "Available",
  UNAVAILABLE: "Unavailable",
};

export const REPOSITORY_STATE: Record<RepositoryState, string> = { AVAILABLE: "Available", UNAVAILABLE: "Unavailable" };

export const STORAGE_KIND: Record<StorageKind, string> = { S3: "S3 bucket", LOCAL: "Local folder" };

export const STORAGE_CLASS: Record<StorageClass, string> = {
  STANDARD: "S3 Standard",
  GLACIER: "S3 Glacier Flexible Retrieval",
  DEEP_ARCHIVE: "S3 Glacier Deep Archive",
};

/** For narrow places. */
export const STORAGE_CLASS_SHORT: Record<StorageClass, string> = {
  STANDARD: "Standard",
  GLACIER: "Glacier",
  DEEP_ARCHIVE: "Deep Archive",
};

export const ENCRYPTION: Record<Encryption, string> = { PASSWORD: "Password", KMS: "KMS key" };

export const HEALTH: Record<Health, string> = { HEALTHY: "Healthy", INCOMPLETE: "Incomplete" };

export const PROOF: Record<Proof, string> = { VERIFICATION: "by verification", RESTORE: "by a restore" };

export const RETRIEVAL_MODE: Record<RetrievalMode, string> = { EXPEDITED: "Expedited", STANDARD: "Standard", BULK: "Bulk" };

export const RETRIEVAL_STATE: Record<RetrievalState, string> = {
  REQUESTED: "Being retrieved",
  AVAILABLE: "Readable",
  EXPIRED: "No longer readable",
};

export const CHECK_LEVEL: Record<CheckLevel, string> = { STRUCTURE: "Structure", AVAILABLE: "Structure and files", CONTENT: "Content" };

export const ROLE: Record<Role, string> = {
  VIEWER: "Viewer",
  RESTORE_OPERATOR: "Restore operator",
  OPERATOR: "Operator",
  ADMINISTRATOR: "Administrator",
};

export const WORKLOAD: Record<string, string> = { ec2: "EC2 instance" };

const TASK_KIND: Record<string, string> = {
  protect: "Protect",
  manual_snapshot: "Manual snapshot",
  refresh_prices: "Read prices",
  retention: "Retention",
  rescan: "Rescan",
  restore_volumes: "Restore volumes",
  restore_instance: "Restore instance",
  delete_points: "Delete restore points",
  collect_garbage: "Collect garbage",
  check_chain: "Check backups",
  check_repository: "Check repository",
  rescan_repository: "Rescan repository",
  verify_point: "Verify",
  archive_point: "Archive",
  retrieve_point: "Retrieve",
};

export function taskKind(kind: string): string {
  return TASK_KIND[kind.toLowerCase()] ?? kind;
}

export function isFinal(state: State): boolean {
  return state !== "PENDING" && state !== "RUNNING";
}

export function workloadName(kind: string): string {
  return WORKLOAD[kind] ?? kind;
}

/** A restore writes to AWS; everything else stores in a repository. */
export function storedWord(kind: SessionKind): string {
  return kind === "VOLUME_RESTORE" || kind === "INSTANCE_RESTORE" ? "Written" : "Stored";
}
