import type { AccountState, Leg, RepositoryState, Role, SessionKind, State, StorageKind } from "../api/generated";

/** What the console calls things: one word each, everywhere. */
export const SESSION_KIND: Record<SessionKind, string> = {
  POLICY_RUN: "Policy run",
  RESCAN: "Rescan",
  VOLUME_RESTORE: "Volume restore",
  INSTANCE_RESTORE: "Instance restore",
  DELETE_POINTS: "Restore point deletion",
  REPOSITORY_MAINTENANCE: "Repository clean-up",
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

export const ACCOUNT_STATE: Record<AccountState, string> = {
  UNCHECKED: "Not checked yet",
  AVAILABLE: "Available",
  UNAVAILABLE: "Unavailable",
};

export const REPOSITORY_STATE: Record<RepositoryState, string> = { AVAILABLE: "Available", UNAVAILABLE: "Unavailable" };

export const STORAGE_KIND: Record<StorageKind, string> = { S3: "S3 bucket", LOCAL: "Local folder" };

export const ROLE: Record<Role, string> = {
  VIEWER: "Viewer",
  RESTORE_OPERATOR: "Restore operator",
  OPERATOR: "Operator",
  ADMINISTRATOR: "Administrator",
};

export const WORKLOAD: Record<string, string> = { ec2: "EC2 instance" };

const TASK_KIND: Record<string, string> = {
  protect: "Protect",
  retention: "Retention",
  rescan: "Rescan",
  restore_volumes: "Restore volumes",
  restore_instance: "Restore instance",
  delete_points: "Delete restore points",
  collect_garbage: "Clean up",
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
