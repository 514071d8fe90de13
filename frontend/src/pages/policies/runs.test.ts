import { describe, expect, it } from "vitest";
import { namesIn } from "./importedNames";
import { periodLabel } from "./periodLabel";
import { byDay, dayLabel, flagsOf, timeOfDay, totals } from "./runs";

const run = (at: string) => ({ at, legs: [{ leg: "SNAPSHOT" as const, flags: ["WEEKLY" as const, "DAILY" as const], made: 2 }], removed: [] });

describe("runs", () => {
  it("fall on the days of the zone they are shown in", () => {
    const runs = [run("2026-11-22T22:30:00Z"), run("2026-11-22T23:30:00Z")];
    expect(byDay(runs, "UTC").map(({ day, runs: found }) => [day, found.length])).toEqual([["2026-11-22", 2]]);
    expect(byDay(runs, "Europe/Berlin").map(({ day }) => day)).toEqual(["2026-11-22", "2026-11-23"]);
    expect(timeOfDay("2026-11-22T23:30:00Z", "Europe/Berlin")).toBe("00:30");
    expect(dayLabel("2026-11-23")).toBe("Mon 23 Nov");
  });

  it("carry their flags once, the most frequent first", () => {
    expect(flagsOf({ at: "", legs: [{ leg: "SNAPSHOT", flags: ["WEEKLY", "DAILY"] }, { leg: "BACKUP", flags: ["WEEKLY"] }] })).toEqual(["DAILY", "WEEKLY"]);
  });

  it("add up by leg", () => {
    const removed = [{ leg: "BACKUP" as const, count: 3 }];
    expect(totals([run("a"), { ...run("b"), removed }])).toEqual([
      { leg: "SNAPSHOT", made: 4, removed: 0 },
      { leg: "BACKUP", made: 0, removed: 3 },
    ]);
  });
});

describe("a period's name", () => {
  it("is that of its first day, whatever the reader's zone", () => {
    expect(periodLabel({ start: "2026-11-23T00:00:00Z" }, "DAILY")).toBe("Mon 23 Nov");
    expect(periodLabel({ start: "2026-11-23T00:00:00Z" }, "WEEKLY")).toBe("from 23 Nov");
    expect(periodLabel({ start: "2026-11-01T00:00:00Z" }, "MONTHLY")).toBe("Nov 26");
  });
});

describe("an exported document", () => {
  it("gives the names in it, and none when it is something else", () => {
    expect(namesIn('{"version": 1, "policies": [{"name": "a"}, {"name": "b"}, {}]}')).toEqual(["a", "b"]);
    expect(namesIn("[1]")).toEqual([]);
    expect(namesIn("no json")).toEqual([]);
  });
});
