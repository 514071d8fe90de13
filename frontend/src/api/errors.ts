import type { CombinedError } from "urql";

/** What went wrong, ready to be shown: sentence, what to do, and which inputs are at fault. */
export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly remedy: string | null;
  /** Input path, as the server names it (`scope.regions`) → sentence. */
  readonly fields: Readonly<Record<string, string>>;
}

export function problemOf(error: CombinedError | undefined | null): Problem | null {
  if (!error) return null;
  const first = error.graphQLErrors[0];
  if (first) {
    const extensions = first.extensions ?? {};
    return {
      code: text(extensions.code) ?? "INTERNAL",
      message: first.message,
      remedy: text(extensions.remedy),
      fields: fieldsOf(extensions.fields),
    };
  }
  if (error.networkError) {
    return {
      code: "UNREACHABLE",
      message: "The appliance does not answer.",
      remedy: "Check that Holdfast is running and that this computer can reach it. This page tries again by itself.",
      fields: {},
    };
  }
  return { code: "INTERNAL", message: error.message, remedy: null, fields: {} };
}

/** Is the caller no longer signed in? The server says so in the error's code or, for an unreadable token, in the status. */
export function isSignedOut(error: CombinedError): boolean {
  const codes = error.graphQLErrors.map((each) => each.extensions?.code);
  const status: unknown = (error.response as { status?: unknown } | undefined)?.status;
  return codes.includes("UNAUTHENTICATED") || codes.includes("TOKEN_EXPIRED") || status === 401;
}

/**
 * The sentence for a form field. The server's path may carry a prefix (`input.`, `policy.`) and indexes
 * (`scope.tags.0.key`, `scope.tags[0]`); the field is found by the part they have in common.
 */
export function fieldError(problem: Problem | null, ...paths: string[]): string | undefined {
  if (!problem) return undefined;
  for (const [given, sentence] of Object.entries(problem.fields)) {
    const plain = given.replace(/\[(\d+)\]/g, ".$1");
    for (const path of paths) {
      if (`.${plain}.`.includes(`.${path}.`)) return sentence;
    }
  }
  return undefined;
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function fieldsOf(value: unknown): Record<string, string> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).map(([path, sentence]) => [path, String(sentence)]));
}
