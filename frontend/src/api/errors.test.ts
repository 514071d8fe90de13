import { CombinedError } from "urql";
import { describe, expect, it } from "vitest";
import { fieldError, isSignedOut, problemOf } from "./errors";

function answered(message: string, extensions: Record<string, unknown>): CombinedError {
  return new CombinedError({ graphQLErrors: [{ message, extensions }] });
}

describe("problemOf", () => {
  it("takes message, remedy, code and fields from the answer", () => {
    const problem = problemOf(
      answered("The input is wrong.", { code: "INVALID_INPUT", remedy: "Choose a Region.", fields: { "input.scope.regions": "None." } }),
    );
    expect(problem).toEqual({
      code: "INVALID_INPUT",
      message: "The input is wrong.",
      remedy: "Choose a Region.",
      fields: { "input.scope.regions": "None." },
    });
  });

  it("says that the appliance is away when there was no answer", () => {
    const problem = problemOf(new CombinedError({ networkError: new Error("fetch failed") }));
    expect(problem?.code).toBe("UNREACHABLE");
    expect(problem?.remedy).toMatch(/running/);
  });

  it("has nothing to say without an error", () => expect(problemOf(undefined)).toBeNull());
});

describe("fieldError", () => {
  const problem = problemOf(
    answered("Wrong.", { fields: { "input.policy.scope.tags[0].key": "Too long.", name: "Taken.", "retention.backupDays": "At least 1." } }),
  );
  it("finds a field whatever stands before and after its path", () => {
    expect(fieldError(problem, "scope.tags")).toBe("Too long.");
    expect(fieldError(problem, "name")).toBe("Taken.");
    expect(fieldError(problem, "backupDays")).toBe("At least 1.");
  });
  it("does not take a part of a name for the name", () => {
    expect(fieldError(problem, "tag", "Days", "me")).toBeUndefined();
    expect(fieldError(null, "name")).toBeUndefined();
  });
});

describe("isSignedOut", () => {
  it("knows the server's codes", () => {
    expect(isSignedOut(answered("Sign in.", { code: "UNAUTHENTICATED" }))).toBe(true);
    expect(isSignedOut(answered("Expired.", { code: "TOKEN_EXPIRED" }))).toBe(true);
    expect(isSignedOut(answered("No.", { code: "FORBIDDEN" }))).toBe(false);
  });
});
