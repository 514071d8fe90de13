import { describe, expect, it } from "vitest";
import { WEEKDAYS, type Schedule } from "./schedule";
import { upcomingRuns } from "./upcoming";

const daily: Schedule = { snapshotHours: [2, 14], backupHours: [2], days: WEEKDAYS, timezone: "UTC" };
const times = (schedule: Schedule, after: string, wanted: number) => upcomingRuns(schedule, Date.parse(after), wanted).map((run) => run.at);

describe("upcoming runs", () => {
  it("come after the moment, in order, and know which make a backup", () => {
    expect(upcomingRuns(daily, Date.parse("2026-11-22T02:00:00Z"), 3)).toEqual([
      { at: "2026-11-22T14:00:00.000Z", backup: false },
      { at: "2026-11-23T02:00:00.000Z", backup: true },
      { at: "2026-11-23T14:00:00.000Z", backup: false },
    ]);
    expect(times(daily, "2026-11-22T01:59:59Z", 1)).toEqual(["2026-11-22T02:00:00.000Z"]);
  });

  it("keep to the days, a week apart if need be", () => {
    const sundays: Schedule = { ...daily, snapshotHours: [2], days: ["SUNDAY"] };
    expect(times(sundays, "2026-11-22T03:00:00Z", 2)).toEqual(["2026-11-29T02:00:00.000Z", "2026-12-06T02:00:00.000Z"]);
  });

  it("follow the zone's clock, also through the change of the hour", () => {
    const berlin: Schedule = { ...daily, snapshotHours: [2], timezone: "Europe/Berlin" };
    expect(times(berlin, "2026-10-23T12:00:00Z", 3)).toEqual([
      "2026-10-24T00:00:00.000Z",
      "2026-10-25T00:00:00.000Z",
      "2026-10-26T01:00:00.000Z",
    ]);
  });

  it("meet zones off the whole hour", () => {
    expect(times({ ...daily, snapshotHours: [6], timezone: "Asia/Kathmandu" }, "2026-11-22T00:00:00Z", 1)).toEqual([
      "2026-11-22T00:15:00.000Z",
    ]);
  });

  it("are none for a schedule that never runs", () => {
    expect(times({ ...daily, days: [] }, "2026-11-22T00:00:00Z", 3)).toEqual([]);
  });
});
