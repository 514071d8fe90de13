import type { AddRepositoryInput, Encryption, RepositoryFolderInput, RepositoryFolderQuery, StorageClass, StorageKind } from "../../api/generated";
import { strength } from "../../format/password";

/** What was seen in the folder the person named. */
export type FoundFolder = RepositoryFolderQuery["repositoryFolder"];

/** A repository while it is being added. */
export interface RepositoryDraft {
  readonly name: string;
  readonly description: string;
  readonly kind: StorageKind;
  readonly accountId: string;
  readonly region: string;
  readonly location: string;
  readonly prefix: string;
  readonly storageClass: StorageClass;
  readonly takeOver: boolean;
  readonly encryption: Encryption;
  readonly password: string;
  readonly again: string;
  readonly hint: string;
  readonly kmsKey: string;
  readonly kept: boolean;
}

export type Step = "place" | "folder" | "encryption";
export const STEPS: readonly Step[] = ["place", "folder", "encryption"];

export const NEW_REPOSITORY: RepositoryDraft = {
  name: "",
  description: "",
  kind: "S3",
  accountId: "",
  region: "",
  location: "",
  prefix: "",
  storageClass: "STANDARD",
  takeOver: false,
  encryption: "PASSWORD",
  password: "",
  again: "",
  hint: "",
  kmsKey: "",
  kept: false,
};

const KEY_ARN = /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[A-Za-z0-9-]{1,64}$/;

/** Which folder the draft names. */
export function placeOf(draft: RepositoryDraft): RepositoryFolderInput {
  const inBucket = draft.kind === "S3";
  return {
    kind: draft.kind,
    accountId: inBucket ? draft.accountId : null,
    region: inBucket ? draft.region : null,
    location: draft.location.trim(),
    prefix: inBucket ? draft.prefix.trim() : "",
  };
}

/** Once a folder was looked into, what lies there decides the class, the way of encryption and the key. */
export function withFound(draft: RepositoryDraft, found: FoundFolder): RepositoryDraft {
  const fresh = { ...draft, takeOver: false, password: "", again: "", kept: false };
  if (!found.exists) return { ...fresh, storageClass: draft.kind === "S3" ? draft.storageClass : "STANDARD" };
  return {
    ...fresh,
    storageClass: found.storageClass ?? "STANDARD",
    encryption: found.encryption ?? "PASSWORD",
    kmsKey: found.kmsKey ?? "",
    hint: found.hint,
  };
}

/** Field → sentence, for one step of the form; the server checks again. */
export function problemsOf(draft: RepositoryDraft, found: FoundFolder | null, step: Step): Record<string, string> {
  const wrong: Record<string, string> = {};
  switch (step) {
    case "place":
      if (draft.name.trim() === "") wrong.name = "Give the repository a name.";
      if (draft.kind === "S3" && draft.accountId === "") wrong.accountId = "Choose an AWS account.";
      if (draft.kind === "S3" && draft.region === "") wrong.region = "Choose the bucket's Region.";
      if (draft.location.trim() === "") wrong.location = draft.kind === "S3" ? "Enter the bucket's name." : "Enter the folder.";
      break;
    case "folder":
      if (!found || cannotBeUsed(found)) wrong.folder = "This folder cannot be used. Go back and choose another one, or change the bucket.";
      else if (found.foreign && !draft.takeOver) wrong.takeOver = "Confirm that this appliance takes the repository over.";
      break;
    case "encryption":
      if (draft.encryption === "KMS") {
        if (!KEY_ARN.test(draft.kmsKey.trim())) wrong.kmsKey = "Enter a key's ARN, such as arn:aws:kms:us-east-1:111122223333:key/1234abcd….";
        if (draft.kind === "LOCAL" && draft.accountId === "") wrong.accountId = "Choose the account that may use the key.";
      } else if (found?.exists) {
        if (draft.password === "") wrong.password = "Enter the repository's current password.";
      } else {
        Object.assign(wrong, newPasswordProblems(draft.password, draft.again, draft.kept));
      }
      break;
  }
  return wrong;
}

/** A new password is long, typed twice and kept somewhere else. */
export function newPasswordProblems(password: string, again: string, kept: boolean): Record<string, string> {
  const wrong: Record<string, string> = {};
  const rating = strength(password);
  if (rating.score === 0) wrong.password = rating.advice ?? "Enter a password.";
  else if (again !== password) wrong.again = "The two passwords differ.";
  if (!kept) wrong.kept = "Confirm that the password is kept somewhere safe.";
  return wrong;
}

export function cannotBeUsed(found: FoundFolder): boolean {
  return found.problems.length > 0 || found.addedAs !== null;
}

export function inputOf(draft: RepositoryDraft, key: string): AddRepositoryInput {
  const kms = draft.encryption === "KMS";
  return {
    ...placeOf(draft),
    // A folder on a disk needs an account only for its key.
    accountId: draft.kind === "S3" || kms ? draft.accountId || null : null,
    name: draft.name.trim(),
    description: draft.description.trim(),
    storageClass: draft.storageClass,
    takeOver: draft.takeOver,
    password: kms ? null : draft.password,
    kmsKey: kms ? draft.kmsKey.trim() : null,
    hint: kms ? "" : draft.hint.trim(),
    clientMutationId: key,
  };
}

/** Which step holds the input the server refused. */
export function stepOf(fields: Readonly<Record<string, string>>): number | null {
  const names = Object.keys(fields).map((path) => path.split(".").at(-1) ?? path);
  if (names.some((name) => ["name", "description", "kind", "location", "prefix", "region", "accountId"].includes(name))) return 0;
  if (names.some((name) => ["takeOver", "storageClass"].includes(name))) return 1;
  if (names.some((name) => ["password", "kmsKey", "hint"].includes(name))) return 2;
  return null;
}
