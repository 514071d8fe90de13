import { describe, expect, it } from "vitest";
import { verdict, type Candidate, type ScopeDraft } from "./scope";

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

  it("ignores a row that is not filled in yet", () => {
    expect(verdict({ ...everything, excludedTags: [{ key: " ", value: null }] }, web).covered).toBe(true);
  });
});
