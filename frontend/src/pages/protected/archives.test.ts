import { describe, expect, it } from "vitest";
import type { PointRowFragment } from "../../api/generated";
import { daysProblem, modesOf, needsRetrieval, refusal, together, type Estimate } from "./archives";
import { damageRows } from "./damage";

const backup: PointRowFragment = {
  id: "1",
  resourceName: "web-01",
  workload: "ec2",
  region: "us-east-1",
  leg: "BACKUP",
  at: "2026-11-22T02:00:00Z",
  createdAt: "2026-11-22T02:00:00Z",
  state: "AVAILABLE",
  sizeBytes: 1,
  storedBytes: 1,
  isChangeTrackingBase: false,
  health: "HEALTHY",
  provenAt: null,
  provenHow: null,
  lockedUntil: null,
  expiresAt: null,
  flags: ["DAILY"],
  manual: false,
  slotAt: null,
  keptBecause: "",
  retrieval: null,
  resource: { id: "r", name: "web-01" },
  policy: null,
  repository: { id: "s", name: "Main", storageClass: "STANDARD" },
  session: null,
};
const snapshot: PointRowFragment = { ...backup, leg: "SNAPSHOT", repository: null };
const archive: PointRowFragment = { ...backup, leg: "ARCHIVE", repository: { id: "g", name: "Vault", storageClass: "GLACIER" } };
const retrieval = { mode: "STANDARD", days: 1, requestedAt: "", expectedFrom: "", expectedBy: "", availableUntil: null } as const;
const readable: PointRowFragment = { ...archive, retrieval: { ...retrieval, state: "AVAILABLE" } };
const waiting: PointRowFragment = { ...archive, retrieval: { ...retrieval, state: "REQUESTED" } };
const expired: PointRowFragment = { ...archive, retrieval: { ...retrieval, state: "EXPIRED" } };

describe("what can be done with restore points", () => {
  it("verifies backups only", () => {
    expect(refusal("verify", [backup])).toBeNull();
    expect(refusal("verify", [backup, snapshot])).not.toBeNull();
    expect(refusal("verify", [readable])).not.toBeNull();
    expect(refusal("verify", [])).not.toBeNull();
  });

  it("archives healthy backups only", () => {
    expect(refusal("archive", [backup])).toBeNull();
    expect(refusal("archive", [backup, { ...backup, health: "INCOMPLETE" }])).toMatch(/incomplete/);
    expect(refusal("archive", [archive])).not.toBeNull();
  });

  it("retrieves archives that are not readable, and extends one that is", () => {
    expect(refusal("retrieve", [archive, expired])).toBeNull();
    expect(refusal("retrieve", [archive, waiting])).not.toBeNull();
    expect(refusal("retrieve", [readable])).toMatch(/extend/);
    expect(refusal("retrieve", [backup])).not.toBeNull();
    expect(refusal("extend", [readable])).toBeNull();
    expect(refusal("extend", [readable, readable])).not.toBeNull();
    expect(refusal("extend", [archive])).not.toBeNull();
  });

  it("retrieves before a restore what cannot be read", () => {
    expect([backup, snapshot, archive, waiting, expired, readable].map(needsRetrieval)).toEqual([false, false, true, true, true, false]);
  });
});

describe("a retrieval", () => {
  it("is never expedited from Deep Archive", () => {
    expect(modesOf(["GLACIER"]).map((mode) => mode.value)).toEqual(["EXPEDITED", "STANDARD", "BULK"]);
    expect(modesOf(["GLACIER", "DEEP_ARCHIVE"]).map((mode) => mode.value)).toEqual(["STANDARD", "BULK"]);
  });

  it("takes whole days of a year at most", () => {
    expect(["", "0", "1.5", "366", "x"].map((days) => daysProblem(days) !== undefined)).toEqual([true, true, true, true, true]);
    expect(daysProblem("365")).toBeUndefined();
  });

  it("of several points costs what they cost together, and ends with the last", () => {
    const one: Estimate = {
      storageClass: "GLACIER",
      packs: 1,
      sizeBytes: 10,
      readableBytes: 1,
      usd: 1,
      usdRetrieval: 0.5,
      usdRequests: 0.3,
      usdCopies: 0.2,
      readyFrom: "2026-11-22T05:00:00Z",
      readyBy: "2026-11-22T07:00:00Z",
      pricesOf: "2026-11-01",
      exactRegion: true,
    };
    const other = { ...one, usd: 2, readyFrom: "2026-11-22T14:00:00Z", readyBy: "2026-11-22T16:00:00Z", exactRegion: false };
    expect(together([])).toBeNull();
    expect(together([other, one])).toMatchObject({ packs: 2, sizeBytes: 20, usd: 3, readyBy: other.readyBy, exactRegion: false });
  });
});

describe("damage", () => {
  const disks = [{ diskId: "vol-1", device: "/dev/xvda", sizeBytes: 1024 ** 3, snapshotId: null }];
  const rows = (range: { diskId: string | null; start: number; end: number }) => damageRows({ foundAt: "", more: 0, ranges: [range] }, disks)[0];

  it("says where on which volume", () => {
    expect(rows({ diskId: "vol-1", start: 524288, end: 1572864 })).toMatchObject({
      disk: "/dev/xvda (vol-1)",
      from: "524,288",
      to: "1,572,864",
      length: "1 MiB",
    });
    expect(rows({ diskId: "vol-9", start: 0, end: 512 })?.disk).toBe("vol-9");
  });

  it("says when a whole volume, or all of it, is lost", () => {
    expect(rows({ diskId: "vol-1", start: 0, end: 1024 ** 3 })?.length).toBe("The whole disk");
    expect(rows({ diskId: null, start: 0, end: 0 })?.disk).toBe("All disks");
  });
});
