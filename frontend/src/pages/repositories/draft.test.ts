import { describe, expect, it } from "vitest";
import { inputOf, NEW_REPOSITORY, placeOf, problemsOf, stepOf, withFound, type FoundFolder, type RepositoryDraft } from "./draft";

const draft: RepositoryDraft = {
  ...NEW_REPOSITORY,
  name: " Main ",
  accountId: "a",
  region: "us-east-1",
  location: " bucket ",
  prefix: "folder",
  password: "four unrelated words, 1 number",
  again: "four unrelated words, 1 number",
  kept: true,
};
const empty: FoundFolder = {
  url: "s3://bucket/folder",
  exists: false,
  version: null,
  storageClass: null,
  encryption: null,
  kmsKey: null,
  hint: "",
  ownerId: null,
  ownedSince: null,
  foreign: false,
  addedAs: null,
  immutable: false,
  problems: [],
  warnings: [],
};
const there: FoundFolder = { ...empty, exists: true, version: 2, storageClass: "GLACIER", encryption: "PASSWORD", hint: "the safe" };
const KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd";

describe("a repository's draft", () => {
  it("names the folder to look into, without what its kind has no use for", () => {
    expect(placeOf(draft)).toEqual({ kind: "S3", accountId: "a", region: "us-east-1", location: "bucket", prefix: "folder" });
    expect(placeOf({ ...draft, kind: "LOCAL" })).toEqual({ kind: "LOCAL", accountId: null, region: null, location: "bucket", prefix: "" });
  });

  it("follows what lies in the folder, and forgets what was meant for another one", () => {
    const seen = withFound({ ...draft, takeOver: true }, there);
    expect(seen).toMatchObject({ storageClass: "GLACIER", encryption: "PASSWORD", hint: "the safe", password: "", takeOver: false });
    expect(withFound({ ...draft, storageClass: "DEEP_ARCHIVE" }, empty).storageClass).toBe("DEEP_ARCHIVE");
    expect(withFound({ ...draft, kind: "LOCAL", storageClass: "GLACIER" }, empty).storageClass).toBe("STANDARD");
    expect(withFound(draft, { ...there, encryption: "KMS", kmsKey: KEY })).toMatchObject({ encryption: "KMS", kmsKey: KEY });
  });

  it("knows what is missing in each step", () => {
    expect(Object.keys(problemsOf(NEW_REPOSITORY, null, "place"))).toEqual(["name", "accountId", "region", "location"]);
    expect(Object.keys(problemsOf({ ...NEW_REPOSITORY, kind: "LOCAL" }, null, "place"))).toEqual(["name", "location"]);
    for (const step of ["place", "folder", "encryption"] as const) expect(problemsOf(draft, empty, step)).toEqual({});
  });

  it("lets nobody go on with a folder that cannot be used", () => {
    expect(problemsOf(draft, null, "folder")).toHaveProperty("folder");
    expect(problemsOf(draft, { ...empty, problems: [{ message: "Versioning without lock.", remedy: "Change it." }] }, "folder")).toHaveProperty("folder");
    expect(problemsOf(draft, { ...there, addedAs: "r" }, "folder")).toHaveProperty("folder");
  });

  it("asks before another appliance's repository is taken over", () => {
    const foreign = { ...there, foreign: true };
    expect(problemsOf(draft, foreign, "folder")).toHaveProperty("takeOver");
    expect(problemsOf({ ...draft, takeOver: true }, foreign, "folder")).toEqual({});
  });

  it("wants a good new password twice, and of an existing repository just its own", () => {
    expect(problemsOf({ ...draft, password: "short", again: "short" }, empty, "encryption")).toHaveProperty("password");
    expect(problemsOf({ ...draft, again: "other" }, empty, "encryption")).toHaveProperty("again");
    expect(problemsOf({ ...draft, kept: false }, empty, "encryption")).toHaveProperty("kept");
    expect(problemsOf({ ...draft, password: "short", again: "", kept: false }, there, "encryption")).toEqual({});
    expect(problemsOf({ ...draft, password: "" }, there, "encryption")).toHaveProperty("password");
  });

  it("wants a key's whole ARN, and for a folder on a disk the account that may use it", () => {
    expect(problemsOf({ ...draft, encryption: "KMS", kmsKey: "alias/main" }, empty, "encryption")).toHaveProperty("kmsKey");
    expect(problemsOf({ ...draft, encryption: "KMS", kmsKey: KEY }, empty, "encryption")).toEqual({});
    expect(problemsOf({ ...draft, kind: "LOCAL", accountId: "", encryption: "KMS", kmsKey: KEY }, empty, "encryption")).toHaveProperty("accountId");
  });

  it("sends a password or a key, never both", () => {
    expect(inputOf({ ...draft, kmsKey: KEY }, "k")).toMatchObject({ name: "Main", password: draft.password, kmsKey: null, clientMutationId: "k" });
    const keyed = inputOf({ ...draft, encryption: "KMS", kmsKey: ` ${KEY} `, hint: "none" }, "k");
    expect(keyed).toMatchObject({ password: null, kmsKey: KEY, hint: "" });
    expect(inputOf({ ...draft, kind: "LOCAL" }, "k").accountId).toBeNull();
    expect(inputOf({ ...draft, kind: "LOCAL", encryption: "KMS", kmsKey: KEY }, "k").accountId).toBe("a");
  });

  it("finds the step of what the server refuses", () => {
    expect(stepOf({ "input.location": "Not there." })).toBe(0);
    expect(stepOf({ takeOver: "Owned." })).toBe(1);
    expect(stepOf({ password: "Wrong." })).toBe(2);
    expect(stepOf({})).toBeNull();
  });
});
