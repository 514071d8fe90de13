import { describe, expect, it } from "vitest";
import { PASSWORD_MIN, strength } from "./password";
import { dayRulePhrase, daysPhrase, flagLetter, inOrder, minuteName, minutesOf, monthsPhrase, periodText, WEEKDAYS } from "./calendar";
import { gib, percent, rate, size } from "./size";
import { count, list, wordsOf } from "./text";
import { clock, duration, elapsed, local, relative, utc } from "./time";

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;

describe("size", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [512 * 1024, "512 KiB"],
    [1024 * MiB - 1, "1 GiB"],
    [GiB, "1 GiB"],
    [1.25 * GiB, "1.25 GiB"],
    [12.34 * GiB, "12.3 GiB"],
    [16 * 1024 * GiB, "16 TiB"],
    [100 * MiB, "100 MiB"],
    [4000 * 1024 ** 5, "4000 PiB"],
  ])("writes %d bytes as %s", (bytes, text) => expect(size(bytes)).toBe(text));

  it("writes disks in GiB", () => {
    expect(gib(8 * GiB)).toBe("8 GiB");
    expect(gib(256 * MiB)).toBe("0.25 GiB");
    expect(gib(16384 * GiB)).toBe("16,384 GiB");
  });

  it("has no rate without time or bytes", () => {
    expect(rate(10 * MiB, 2)).toBe("5 MiB/s");
    expect(rate(10, 0)).toBeNull();
    expect(rate(0, 2)).toBeNull();
  });

  it("never says done before it is, nor nothing once begun", () => {
    expect(percent(999, 1000)).toBe(99);
    expect(percent(1, 1000)).toBe(1);
    expect(percent(0, 1000)).toBe(0);
    expect(percent(1000, 1000)).toBe(100);
    expect(percent(5, 0)).toBe(0);
  });
});

describe("time", () => {
  it.each([
    [0.04, "0.1 s"],
    [0.44, "0.4 s"],
    [59.4, "59 s"],
    [60, "1 min"],
    [185, "3 min 5 s"],
    [7800, "2 h 10 min"],
    [86400 * 3 + 4 * 3600, "3 d 4 h"],
    [-1, "–"],
  ])("writes %d seconds as %s", (seconds, text) => expect(duration(seconds)).toBe(text));

  it("measures up to now while the end is open", () => {
    const now = Date.parse("2026-11-22T12:00:10Z");
    expect(elapsed("2026-11-22T12:00:00Z", null, now)).toBe(10);
    expect(elapsed("2026-11-22T12:00:00Z", "2026-11-22T12:00:04Z", now)).toBe(4);
    expect(elapsed(null, null, now)).toBeNull();
    expect(elapsed("2026-11-22T12:00:20Z", null, now)).toBe(0);
  });

  it("speaks of distance", () => {
    const now = Date.parse("2026-11-22T12:00:00Z");
    expect(relative("2026-11-22T11:59:40Z", now)).toBe("just now");
    expect(relative("2026-11-22T12:00:30Z", now)).toBe("in a moment");
    expect(relative("2026-11-22T11:59:00Z", now)).toBe("1 minute ago");
    expect(relative("2026-11-22T15:00:00Z", now)).toBe("in 3 hours");
    expect(relative("2026-11-21T11:00:00Z", now)).toBe("yesterday");
    expect(relative("2026-11-12T12:00:00Z", now)).toBe("10 days ago");
  });

  it("shows the local zone and UTC", () => {
    expect(local("2026-11-22T13:05:09Z", "Europe/Berlin")).toBe("22 Nov 2026, 14:05");
    expect(utc("2026-11-22T13:05:09.123Z")).toBe("2026-11-22 13:05:09 UTC");
    expect(clock("2026-11-22T13:05:09Z", "Europe/Berlin")).toBe("14:05:09");
  });
});

describe("calendar", () => {
  it("names days", () => {
    expect(daysPhrase(WEEKDAYS)).toBe("every day");
    expect(daysPhrase(["FRIDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY"])).toBe("Monday to Friday");
    expect(daysPhrase(["SUNDAY", "SATURDAY"])).toBe("on weekends");
    expect(daysPhrase(["SUNDAY"])).toBe("on Sundays");
    expect(daysPhrase(["FRIDAY", "MONDAY", "WEDNESDAY"])).toBe("on Mon, Wed and Fri");
    expect(daysPhrase([])).toBe("on no day");
  });

  it("names months and days of a month", () => {
    expect(monthsPhrase([3])).toBe("in March");
    expect(monthsPhrase([7, 1, 4, 4])).toBe("in Jan, Apr and Jul");
    expect(monthsPhrase([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])).toBe("every month");
    expect(dayRulePhrase({ ordinal: "LAST", weekday: "FRIDAY", day: null })).toBe("last Friday");
    expect(dayRulePhrase({ ordinal: "FIRST", weekday: null, day: 15 })).toBe("day 15");
    expect(dayRulePhrase({ ordinal: "FIRST", weekday: null, day: 31 })).toBe("last day");
  });

  it("writes times of day, lengths of time and flags", () => {
    expect(minuteName(545)).toBe("09:05");
    expect(minutesOf("9:05")).toBe(545);
    expect(minutesOf("24:00")).toBeNull();
    expect(minutesOf("9.05")).toBeNull();
    expect(periodText({ amount: 1, unit: "MONTHS" })).toBe("1 month");
    expect(periodText({ amount: 30, unit: "DAYS" })).toBe("30 days");
    expect(inOrder(["YEARLY", "DAILY"]).map(flagLetter)).toEqual(["D", "Y"]);
  });

  it("counts and lists", () => {
    expect(count(1, "policy")).toBe("1 policy");
    expect(count(1200, "policy")).toBe("1,200 policies");
    expect(count(2, "day")).toBe("2 days");
    expect(list([])).toBe("");
    expect(list(["a", "b", "c"])).toBe("a, b and c");
    expect(wordsOf(" a@b.example;c@d.example,\n e@f.example ")).toEqual(["a@b.example", "c@d.example", "e@f.example"]);
  });
});

describe("password strength", () => {
  it("refuses short ones whatever they hold", () => {
    expect(strength("aB3$".repeat(2)).score).toBe(0);
    expect(strength("x".repeat(PASSWORD_MIN - 1)).score).toBe(0);
  });
  it("is not fooled by repetition and runs", () => {
    expect(strength("aaaaaaaaaaaaaaaaaaaa").score).toBe(1);
    expect(strength("123456789012").score).toBe(1);
    expect(strength("abcdefghijklmnop").score).toBe(1);
  });
  it("grows with unrelated words", () => {
    expect(strength("correct horse battery staple").score).toBeGreaterThanOrEqual(3);
    expect(strength("q7$Vm2!xRz9@Lp4&Tn").score).toBe(4);
  });
});
