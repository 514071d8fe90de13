import { describe, expect, it } from "vitest";
import type { PolicyChoicesQuery } from "../../api/generated";
import { inputOf, newDraft, newReplica, unsendable, type PolicyDraft } from "./draft";
import { settingSentences } from "./settingWords";

const draft: PolicyDraft = {
  ...newDraft("SCHEDULE", "Europe/Berlin"),
  name: " Daily ",
  accountId: "a",
  regions: ["us-east-1", "eu-central-1"],
  repositoryId: "r",
};
const names = new Map([["1", "web-01"]]);
const choices: PolicyChoicesQuery = {
  accounts: { edges: [] },
  repositories: { edges: [{ node: { id: "r", name: "main", url: "", state: "AVAILABLE", kind: "S3", storageClass: "STANDARD" } }] },
  timezones: [],
};

describe("a policy's draft", () => {
  it("becomes the input the server takes", () => {
    const input = inputOf({ ...draft, all: false, tags: [{ key: "Environment", value: null }, { key: "", value: "x" }] });
    expect(input.name).toBe("Daily");
    expect(input.priority).toBeNull();
    expect(input.scope.mode).toBe("LISTED");
    expect(input.scope.tags).toEqual([{ key: "Environment", value: null }]);
    expect(input.schedule?.timezone).toBe("Europe/Berlin");
    expect(input.retention?.backups).toEqual({ amount: 30, unit: "DAYS" });
    expect(inputOf({ ...draft, excludedVolumeIds: "vol-1, vol-2\nvol-3" }).scope.excludedVolumes?.volumeIds).toEqual(["vol-1", "vol-2", "vol-3"]);
  });

  it("sends no selection that the mode ignores", () => {
    expect(inputOf({ ...draft, resourceIds: ["1"] }).scope.resourceIds).toEqual([]);
    expect(inputOf({ ...draft, scheduled: false }).schedule).toBeNull();
  });

  it("sends of each kind only what belongs to it", () => {
    const sla = inputOf({ ...draft, kind: "SLA", slaTemplateId: "t", storageTemplateId: "s", notify: true, recipients: "a@b.example", mailAt: "09:30" });
    expect(sla).toMatchObject({ schedule: null, repositoryId: null, slaTemplateId: "t", storageTemplateId: "s", healthCheck: null });
    expect(sla.notifications).toMatchObject({ recipients: ["a@b.example"], onlyMissed: true, atMinute: 570 });
    const scheduled = inputOf({ ...draft, slaTemplateId: "t", notify: true, mailAt: "09:30" });
    expect(scheduled).toMatchObject({ slaTemplateId: null, repositoryId: "r" });
    expect(scheduled.notifications).toMatchObject({ onlyMissed: false, atMinute: null });
  });

  it("checks no backups where none are made", () => {
    const checked = { ...draft, verify: true, ordinal: "LAST", weekday: "FRIDAY" } as const;
    expect(inputOf(checked)).toMatchObject({ verify: true, healthCheck: { ordinal: "LAST", weekday: "FRIDAY" } });
    expect(inputOf({ ...checked, healthChecked: false }).healthCheck).toBeNull();
    expect(inputOf({ ...checked, repositoryId: "" })).toMatchObject({ verify: false, healthCheck: null });
  });

  it("sends scripts only where they are on, and a key only where copies are encrypted", () => {
    const linux = { ...draft.linux, pre: " /opt/a.sh ", preArguments: "%instance%" };
    expect(inputOf({ ...draft, linux }).guest?.linux).toBeNull();
    expect(inputOf({ ...draft, linux: { ...linux, on: true } }).guest?.linux).toMatchObject({
      pre: { path: "/opt/a.sh", arguments: "%instance%" },
      post: null,
      timeoutSeconds: 600,
    });
    const target = { ...newReplica("a"), region: "eu-west-1", kmsKey: "alias/x" };
    expect(inputOf({ ...draft, replicas: [target] }).replicas?.[0]?.kmsKey).toBeNull();
    expect(inputOf({ ...draft, replicas: [{ ...target, encrypt: true }] }).replicas?.[0]?.kmsKey).toBe("alias/x");
  });

  it("knows what cannot even be sent, and leaves the rest to the server", () => {
    expect(unsendable(draft)).toEqual({});
    expect(unsendable(newDraft("SCHEDULE", "UTC"))).toEqual({ "scope.accountId": "Choose an AWS account." });
    expect(unsendable({ ...draft, retryAttempts: "1.5", linux: { ...draft.linux, on: true, timeoutSeconds: "" } })).toEqual({
      retryAttempts: "Enter a whole number from 0 to 9.",
      "guest.linux.timeoutSeconds": "Enter a whole number from 5 to 172,800.",
    });
    expect(unsendable({ ...draft, kind: "SLA", notify: true, mailAt: "9 am" })).toHaveProperty(["notifications.atMinute"]);
    expect(unsendable({ ...draft, replicas: [newReplica("")] })).toHaveProperty(["replicas.0.accountId"]);
  });

  it("tells its settings in plain sentences", () => {
    expect(settingSentences(draft, choices, names)).toEqual([
      "Protected: every EC2 instance in us-east-1 and eu-central-1.",
      "Backups go to the repository main.",
      "The health of all its backups is checked once a month, on the first Sunday.",
      "What fails is tried again up to 3 times.",
    ]);
    const [who, left] = settingSentences(
      {
        ...draft,
        all: false,
        resourceIds: ["1"],
        tags: [{ key: "Env", value: "prod" }],
        excludedTags: [{ key: "Skip", value: null }],
        excludeSystemVolume: true,
      },
      choices,
      names,
    );
    expect(who).toBe(
      "Protected: web-01 and every EC2 instance in us-east-1 and eu-central-1 tagged Env=prod, except anything tagged Skip.",
    );
    expect(left).toBe("Left out: system volumes.");
    const [many] = settingSentences({ ...draft, all: false, resourceIds: ["1", "2", "3", "4", "5", "6"] }, choices, names);
    expect(many).toBe("Protected: 6 named instances.");
    expect(settingSentences({ ...draft, scheduled: false, enabled: false, repositoryId: "" }, choices, names)).toEqual([
      "Protected: every EC2 instance in us-east-1 and eu-central-1.",
      "No backups: snapshots stay in the AWS account, in the Region of the instance.",
      "It is disabled: it does not run by itself until it is enabled.",
    ]);
  });
});
