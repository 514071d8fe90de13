import { describe, expect, it } from "vitest";
import { verdict, verdictAmong, type Candidate, type ScopeDraft } from "./scope";

const web: Candidate = {
  id: "1",
  name: "web",
  awsId: "i-1",
  region: "us-east-1",
  sizeBytes: 0,
  tags: [
    { key: "Environment", value: "production" },
    { key: "Team", value: "" },
  ],
  protection: [],
};
const everything: ScopeDraft = { regions: ["us-east-1"], all: true, resourceIds: [], tags: [], excludedResourceIds: [], excludedTags: [] };
const listed: ScopeDraft = { ...everything, all: false };

describe("a policy's scope", () => {
  it("covers all of the chosen Regions, and nothing elsewhere", () => {
    expect(verdict(everything, web).covered).toBe(true);
    expect(verdict({ ...everything, regions: ["eu-central-1"] }, web)).toEqual({
      covered: false,
      reason: "Region us-east-1 is not selected.",
    });
  });

  it("covers what is named or tagged", () => {
    expect(verdict(listed, web).covered).toBe(false);
    expect(verdict({ ...listed, resourceIds: ["1"] }, web).reason).toBe("Selected by name.");
    expect(verdict({ ...listed, tags: [{ key: "Environment", value: "production" }] }, web).reason).toBe(
      "Selected by tag Environment=production.",
    );
    expect(verdict({ ...listed, tags: [{ key: "Environment", value: "test" }] }, web).covered).toBe(false);
  });

  it("tells any value from the empty value", () => {
    expect(verdict({ ...listed, tags: [{ key: "Team", value: null }] }, web).reason).toBe("Selected by tag Team.");
    expect(verdict({ ...listed, tags: [{ key: "Team", value: "" }] }, web).covered).toBe(true);
    expect(verdict({ ...listed, tags: [{ key: "Environment", value: "" }] }, web).covered).toBe(false);
  });

  it("lets exclusions win", () => {
    expect(verdict({ ...listed, resourceIds: ["1"], excludedResourceIds: ["1"] }, web).reason).toBe("Excluded by name.");
    expect(verdict({ ...everything, excludedTags: [{ key: "Team", value: null }] }, web).reason).toBe("Excluded by tag Team.");
  });

  it("leaves a resource to the policy that goes first", () => {
    const other = { id: "daily", name: "Daily", priority: 2, createdAt: "2026-01-02T00:00:00Z" };
    const held = { ...web, protection: [{ covered: true, policy: other }] };
    const self = { id: "mine", priority: 2, createdAt: "2026-01-01T00:00:00Z" };
    expect(verdictAmong(everything, held, null)).toEqual({
      covered: false,
      reason: "The resource is already protected by another policy: Daily",
    });
    expect(verdictAmong(everything, held, self).covered).toBe(true);
    expect(verdictAmong(everything, held, { ...self, createdAt: "2026-01-03T00:00:00Z" }).covered).toBe(false);
    expect(verdictAmong(everything, held, { ...self, priority: 3 }).covered).toBe(false);
    expect(verdictAmong(everything, held, other).covered).toBe(true);
    expect(verdictAmong(everything, { ...web, protection: [{ covered: false, policy: other }] }, null).covered).toBe(true);
  });

  it("ignores a row that is not filled in yet", () => {
    expect(verdict({ ...everything, excludedTags: [{ key: " ", value: null }] }, web).covered).toBe(true);
  });
});
