import type { TypedDocumentNode } from "urql";

/**
 * An operation's text, carrying the types of its result and variables.
 *
 * urql takes text wherever it takes a parsed document; the type says "document" because only that type carries the others.
 */
export function operation<Data, Variables extends Record<string, unknown>>(text: string): TypedDocumentNode<Data, Variables> {
  return text as unknown as TypedDocumentNode<Data, Variables>;
}
