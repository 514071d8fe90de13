import { describe, expect, it } from "vitest";
import {
  changedRule,
  legsOf,
  lockReason,
  newSchedule,
  scheduleDraftOf,
  scheduleInputOf,
  scheduleNumbers,
  sentTo,
  switchedOn,
  toggled,
  withInherited,
  type InheritedTimes,
  type ScheduleDraft,
} from "./scheduleDraft";

const ALL = { REPLICA: true, BACKUP: true, ARCHIVE: true };
const NONE = { REPLICA: false, BACKUP: false, ARCHIVE: false };
const fresh = newSchedule("UTC");

function on(schedule: ScheduleDraft, ...frequencies: ("DAILY" | "WEEKLY" | "MONTHLY" | "YEARLY")[]): ScheduleDraft {
  const parts = { ...schedule.parts };
  for (const frequency of frequencies) parts[frequency] = { ...parts[frequency], on: true };
  return { ...schedule, parts };
}

describe("a schedule's draft", () => {
  it("selects the snapshot that a replica or backup needs, and lets them go with it", () => {
    const daily = fresh.parts.DAILY;
    const withBackup = toggled(daily, "BACKUP", 9);
    expect(withBackup.rules.SNAPSHOT.slots).toEqual([2, 9]);
    expect(withBackup.rules.BACKUP.slots).toEqual([9]);
    const without = toggled(withBackup, "SNAPSHOT", 9);
    expect(without.rules.SNAPSHOT.slots).toEqual([2]);
    expect(without.rules.BACKUP.slots).toEqual([]);
    expect(toggled(withBackup, "BACKUP", 9).rules.SNAPSHOT.slots).toEqual([2, 9]);
  });

  it("does not keep a snapshot because of an archive", () => {
    const monthly = changedRule(sentTo(fresh.parts.MONTHLY, true), "SNAPSHOT", { slots: [] });
    const archived = toggled(monthly, "ARCHIVE", 3);
    expect(archived.rules.ARCHIVE.slots).toEqual([3]);
    expect(archived.rules.SNAPSHOT.slots).toEqual([]);
  });

  it("makes a backup or an archive, never both", () => {
    const backup = toggled(fresh.parts.MONTHLY, "BACKUP", 3);
    const archive = sentTo(backup, true);
    expect(archive.rules.BACKUP.slots).toEqual([]);
    expect(archive.rules.ARCHIVE.slots).toEqual([3]);
    expect(legsOf("MONTHLY", archive, ALL)).toEqual(["SNAPSHOT", "REPLICA", "ARCHIVE"]);
    expect(legsOf("MONTHLY", backup, ALL)).toEqual(["SNAPSHOT", "REPLICA", "BACKUP"]);
    expect(sentTo(archive, false)).toEqual(backup);
  });

  it("backs up what it snapshots when it is switched on first", () => {
    expect(switchedOn(fresh.parts.WEEKLY, ALL)).toMatchObject({ on: true, rules: { BACKUP: { slots: [6] } } });
    expect(switchedOn(fresh.parts.WEEKLY, NONE).rules.BACKUP.slots).toEqual([]);
    expect(switchedOn({ ...fresh.parts.WEEKLY, saved: true }, ALL).rules.BACKUP.slots).toEqual([]);
  });

  it("offers only what has a place to go", () => {
    expect(legsOf("DAILY", fresh.parts.DAILY, NONE)).toEqual(["SNAPSHOT"]);
    expect(legsOf("YEARLY", fresh.parts.YEARLY, NONE)).toEqual(["BACKUP"]);
  });

  it("sends the schedules that are on, and of the others those that were saved", () => {
    const input = scheduleInputOf(on(fresh, "WEEKLY"), NONE);
    expect(input.daily).toMatchObject({ enabled: true, perHour: 1, snapshot: { slots: [2], count: 7 }, backup: null, replica: null });
    expect(input.weekly).toMatchObject({ enabled: true, hour: 2, snapshot: { slots: [6], count: 4 } });
    expect(input.monthly).toBeNull();
    const saved = scheduleDraftOf({
      timezone: "UTC",
      daily: null,
      weekly: { enabled: false, hour: 5, snapshot: { slots: [0], count: 2, period: null }, replica: null, backup: null },
      monthly: null,
      yearly: null,
    });
    expect(scheduleInputOf(saved, NONE)).toMatchObject({ daily: null, weekly: { enabled: false, hour: 5, snapshot: { slots: [0], count: 2 } } });
  });

  it("leaves out what lost its place", () => {
    const schedule = { ...fresh, parts: { ...fresh.parts, DAILY: toggled(fresh.parts.DAILY, "BACKUP", 2) } };
    expect(scheduleInputOf(schedule, ALL).daily?.backup).toEqual({ slots: [2], period: { amount: 30, unit: "DAYS" } });
    expect(scheduleInputOf(schedule, NONE).daily?.backup).toBeNull();
  });

  it("comes back from what was saved as it was", () => {
    const monthly = toggled(sentTo(fresh.parts.MONTHLY, true), "ARCHIVE", 1);
    const schedule = on({ ...fresh, parts: { ...fresh.parts, MONTHLY: { ...monthly, day: { ...monthly.day, fixed: true, day: 31 } } } }, "MONTHLY");
    const input = scheduleInputOf(schedule, ALL);
    const again = scheduleDraftOf(JSON.parse(JSON.stringify(input)) as never);
    expect(scheduleInputOf(again, ALL)).toEqual(input);
    expect(input.monthly?.day).toEqual({ ordinal: "FIRST", weekday: null, day: 31 });
  });

  it("takes over inherited times, and says why they are locked", () => {
    const times: InheritedTimes = [
      { path: "schedule.monthly.hour", source: "WEEKLY", hour: 7, day: null },
      { path: "schedule.yearly.day", source: "MONTHLY", hour: null, day: { ordinal: "SECOND", weekday: "FRIDAY", day: null } },
    ];
    const schedule = withInherited(fresh, times);
    expect(schedule.parts.MONTHLY.hour).toBe(7);
    expect(schedule.parts.YEARLY.day).toMatchObject({ ordinal: "SECOND", weekday: "FRIDAY" });
    expect(withInherited(schedule, times)).toBe(schedule);
    expect(lockReason(times, "schedule.monthly.hour")).toContain("weekly schedule");
    expect(lockReason(times, "schedule.yearly.hour")).toBeNull();
  });

  it("names numbers that cannot be sent by the server's path", () => {
    const daily = changedRule(changedRule(toggled(fresh.parts.DAILY, "BACKUP", 2), "SNAPSHOT", { count: "" }), "BACKUP", { amount: "0" });
    const schedule = { ...fresh, perHour: "x", parts: { ...fresh.parts, DAILY: daily } };
    expect(Object.keys(scheduleNumbers(schedule, ALL)).sort()).toEqual([
      "schedule.daily.backup.period",
      "schedule.daily.perHour",
      "schedule.daily.snapshot.count",
    ]);
    expect(scheduleNumbers(fresh, ALL)).toEqual({});
  });
});
