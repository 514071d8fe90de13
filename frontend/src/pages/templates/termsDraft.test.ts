import { describe, expect, it } from "vitest";
import type { TermsPartsFragment } from "../../api/generated";
import { newTerms, pointsPerDay, termsDraftOf, termsInputOf, unsendableTerms } from "./termsDraft";
import { stepPhrase, termsSentences } from "./termsWords";

const terms: TermsPartsFragment = {
  snapshot: {
    window: { start: 540, end: 1260 },
    daily: { everyMinutes: 120, keep: { amount: 7, unit: "DAYS" } },
    weekly: null,
    monthly: { months: [1, 7], day: { ordinal: "FIRST", weekday: "MONDAY", day: null }, keep: { amount: 1, unit: "YEARS" } },
  },
  replica: { firstOf: "WEEKLY", keep: { amount: 2, unit: "MONTHS" } },
  backup: {
    window: { start: 0, end: 0 },
    daily: null,
    weekly: { days: ["MONDAY"], keep: { amount: 30, unit: "DAYS" } },
    monthly: null,
  },
  archive: { months: [1], keep: { amount: 5, unit: "YEARS" } },
  trackChanges: true,
  target: 97,
  healthCheck: { ordinal: "LAST", weekday: "SUNDAY" },
};

describe("the terms of an SLA template", () => {
  it("come back from the form as they were", () => {
    expect(termsInputOf(termsDraftOf(terms))).toEqual(terms);
  });

  it("promise nothing of what is switched off", () => {
    const input = termsInputOf({ ...termsDraftOf(terms), backsUp: false, replicates: false });
    expect(input).toMatchObject({ backup: null, archive: null, healthCheck: null, replica: null });
  });

  it("count the points of a window: its start belongs to it, its end does not", () => {
    const plan = { start: "10:00", end: "13:00", everyMinutes: 60 };
    expect(pointsPerDay(plan)).toBe(3);
    expect(pointsPerDay({ ...plan, end: "13:05" })).toBe(4);
    expect(pointsPerDay({ start: "00:00", end: "00:00", everyMinutes: 120 })).toBe(12);
    expect(pointsPerDay({ start: "22:00", end: "06:00", everyMinutes: 240 })).toBe(2);
    expect(pointsPerDay({ ...plan, start: "?" })).toBeNull();
  });

  it("name what cannot be sent", () => {
    const draft = newTerms();
    expect(unsendableTerms(draft)).toEqual({});
    const wrong = { ...draft, target: "101", snapshot: { ...draft.snapshot, start: "25:00", dailyKeep: { amount: "", unit: "DAYS" as const } } };
    expect(Object.keys(unsendableTerms(wrong)).sort()).toEqual(["terms.snapshot.daily.keep", "terms.snapshot.window.start", "terms.target"]);
  });

  it("read as plain sentences", () => {
    expect(termsSentences(terms)).toEqual([
      "Snapshots every 2 hours, from 09:00 to 21:00, kept for 7 days.",
      "Snapshots on the first Monday in Jan and Jul, kept for 1 year.",
      "The first snapshot of each week is replicated; replicas are kept for 2 months.",
      "Backups on Mondays, all day, kept for 30 days.",
      "The first backup of the month is archived in January; archives are kept for 5 years.",
      "The promise counts as kept from 97 % on.",
      "The snapshot behind the last backup is held, so that the next backup reads only what changed.",
      "The health of the backups is checked once a month, on the last Sunday.",
    ]);
    expect([30, 60, 1440].map(stepPhrase)).toEqual(["every 30 minutes", "every hour", "once a day"]);
  });
});
