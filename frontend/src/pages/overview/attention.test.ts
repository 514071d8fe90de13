import { describe, expect, it } from "vitest";
import type { OverviewQuery } from "../../api/generated";
import { concerns } from "./attention";

function overview(figures: Partial<OverviewQuery["overview"]>, rest: Partial<OverviewQuery> = {}): OverviewQuery {
  return {
    overview: {
      resourceCount: 5,
      protectedCount: 5,
      policyCount: 1,
      repositoryCount: 1,
      pointCount: 0,
      storedBytes: 0,
      sourceBytes: 0,
      sessionsLastDay: [],
      runningSessions: [],
      lastSessions: [],
      ...figures,
    },
    failed: { edges: [], pageInfo: { hasNextPage: false } },
    repositories: { edges: [] },
    accounts: { edges: [] },
    policies: { edges: [] },
    ...rest,
  };
}

const keys = (data: OverviewQuery) => concerns(data).map((concern) => concern.key);

describe("what needs attention", () => {
  it("is nothing when all is well", () => expect(concerns(overview({}))).toEqual([]));

  it("leads a newcomer one step at a time", () => {
    expect(keys(overview({ resourceCount: 0, protectedCount: 0, policyCount: 0, repositoryCount: 0 }))).toEqual(["rescan"]);
    expect(keys(overview({ protectedCount: 0, policyCount: 0, repositoryCount: 0 }))).toEqual(["repository"]);
    expect(keys(overview({ protectedCount: 0, policyCount: 0 }))).toEqual(["policy"]);
  });

  it("puts failures before gaps", () => {
    const data = overview(
      { protectedCount: 3 },
      {
        accounts: { edges: [{ node: { id: "a", name: "Second", state: "UNAVAILABLE", problem: "Role not found." } }] },
        policies: { edges: [{ node: { id: "p", name: "Daily", nextRunAt: null, resourceCount: 0 } }] },
      },
    );
    expect(concerns(data).map((concern) => concern.level)).toEqual(["error", "warning", "warning"]);
    expect(concerns(data)[0]!.text).toBe("AWS account Second cannot be used. Role not found.");
    expect(concerns(data)[1]!.text).toBe("2 resources are not covered by any policy.");
  });
});
