import { describe, expect, it } from "vitest";
import { sentenceAt } from "../../../api/fields";
import { problemsIn, stepOf, stepsOf } from "./fields";

describe("the wizard's steps", () => {
  it("finds the step that asks for a field", () => {
    expect(stepOf("name", "SCHEDULE")).toBe("name");
    expect(stepOf("scope.regions.0", "SCHEDULE")).toBe("sources");
    expect(stepOf("scope.tags[0].key", "SCHEDULE")).toBe("resources");
    expect(stepOf("guest.linux.pre.path", "SLA")).toBe("guest");
    expect(stepOf("replicas", "SCHEDULE")).toBe("targets");
    expect(stepOf("replicas.1.region", "SLA")).toBe("protection");
    expect(stepOf("retention.backups", "SCHEDULE")).toBe("schedule");
    expect(stepOf("schedule.daily.days", "SLA")).toBeNull();
  });

  it("loses no problem: each belongs to one step, the unknown to the review", () => {
    const problems = { name: "a", "scope.tags": "b", "schedule.daily.days": "c", "something.new": "d", "": "e" };
    for (const kind of ["SCHEDULE", "SLA"] as const) {
      const found = stepsOf(kind).flatMap((step) => Object.values(problemsIn(step, problems, kind)));
      expect(found.sort()).toEqual(["a", "b", "c", "d", "e"]);
    }
    expect(problemsIn("review", problems, "SCHEDULE")).toEqual({ "something.new": "d", "": "e" });
  });
});

describe("a field's sentence", () => {
  const problems = { "policy.scope.tags[0].key": "too long", "terms.backup": "nothing promised" };
  it("is that of the path, or of what lies beneath it", () => {
    expect(sentenceAt(problems, "scope.tags")).toBe("too long");
    expect(sentenceAt(problems, "scope.tag")).toBeUndefined();
    expect(sentenceAt(problems, "terms")).toBe("nothing promised");
    expect(sentenceAt(problems, "=terms")).toBeUndefined();
    expect(sentenceAt(problems, "=terms.backup")).toBe("nothing promised");
  });
});
