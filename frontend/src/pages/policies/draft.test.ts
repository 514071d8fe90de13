import { describe, expect, it } from "vitest";
import { inputOf, inWords, newDraft, problemsOf, scheduleOf, type PolicyDraft } from "./draft";

const draft: PolicyDraft = {
  ...newDraft("Europe/Berlin"),
  name: " Daily ",
  accountId: "a",
  regions: ["us-east-1", "eu-central-1"],
  repositoryId: "r",
  backupHours: [2],
};
const names = { resources: new Map([["1", "web"]]), repository: "main" };

describe("a policy's draft", () => {
  it("becomes the input the server takes", () => {
    const input = inputOf({ ...draft, all: false, tags: [{ key: "Environment", value: null }, { key: "", value: "x" }] });
    expect(input.name).toBe("Daily");
    expect(input.priority).toBeNull();
    expect(inputOf({ ...draft, priority: "2" }).priority).toBe(2);
    expect(input.scope.mode).toBe("LISTED");
    expect(input.scope.tags).toEqual([{ key: "Environment", value: null }]);
    expect(input.retention).toEqual({ snapshots: 7, backupDays: 30 });
    expect(input.schedule?.timezone).toBe("Europe/Berlin");
  });

  it("sends no selection that the mode ignores, and no backup hour without a repository", () => {
    expect(inputOf({ ...draft, resourceIds: ["1"] }).scope.resourceIds).toEqual([]);
    expect(scheduleOf({ ...draft, repositoryId: "" })?.backupHours).toEqual([]);
    expect(inputOf({ ...draft, scheduled: false }).schedule).toBeNull();
  });

  it("checks no backups where none are made", () => {
    const checked = { ...draft, verify: true, ordinal: "LAST", weekday: "FRIDAY" } as const;
    expect(inputOf(checked)).toMatchObject({ verify: true, healthCheck: { ordinal: "LAST", weekday: "FRIDAY" } });
    expect(inputOf({ ...checked, healthChecked: false }).healthCheck).toBeNull();
    expect(inputOf({ ...checked, repositoryId: "" })).toMatchObject({ verify: false, healthCheck: null });
  });

  it("knows what is missing in each step", () => {
    expect(problemsOf(newDraft("UTC"), "name")).toHaveProperty("name");
    expect(problemsOf({ ...draft, priority: "0" }, "name")).toHaveProperty("priority");
    expect(Object.keys(problemsOf(newDraft("UTC"), "scope"))).toEqual(["accountId", "regions"]);
    expect(problemsOf({ ...draft, all: false }, "scope")).toHaveProperty("resourceIds");
    expect(problemsOf({ ...draft, snapshotHours: [], days: [] }, "schedule")).toHaveProperty("days");
    expect(problemsOf({ ...draft, scheduled: false, snapshotHours: [] }, "schedule")).toEqual({});
    expect(problemsOf({ ...draft, snapshots: "", backupDays: "0", retryAttempts: "1.5" }, "retention")).toEqual({
      snapshots: "Enter a whole number from 0 to 1,000 snapshots.",
      backupDays: "Enter a whole number from 1 to 36,135 days.",
      retryAttempts: "Enter a whole number from 0 to 9 tries.",
    });
    for (const step of ["name", "scope", "schedule", "retention"] as const) expect(problemsOf(draft, step)).toEqual({});
  });

  it("reads as plain sentences", () => {
    expect(inWords(draft, names)).toEqual([
      "Protected: every EC2 instance in us-east-1 and eu-central-1.",
      "Snapshots at 02:00, every day; each followed by a backup (Europe/Berlin).",
      "Backups are written, encrypted, to the repository main.",
      "The newest 7 snapshots of each resource are kept; backups are kept for 30 days.",
      "The health of all its backups is checked once a month, on the first Sunday.",
      "An instance that fails is tried again up to 3 times.",
    ]);
    expect(inWords({ ...draft, verify: true, ordinal: "LAST", weekday: "FRIDAY" }, names).slice(4, 6)).toEqual([
      "Each new backup is read again and compared with the volumes it was made from.",
      "The health of all its backups is checked once a month, on the last Friday.",
    ]);
    expect(inWords({ ...draft, healthChecked: false }, names)).toContain(
      "Its backups are not checked by themselves, only when somebody starts a health check.",
    );
    const [who] = inWords(
      { ...draft, all: false, resourceIds: ["1"], tags: [{ key: "Env", value: "prod" }], excludedTags: [{ key: "Skip", value: null }] },
      names,
    );
    expect(who).toBe(
      "Protected: web, and every EC2 instance in us-east-1 and eu-central-1 tagged Env=prod, except anything tagged Skip.",
    );
  });
});
