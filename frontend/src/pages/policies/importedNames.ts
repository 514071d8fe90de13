/** Names of the policies in an exported document; none when it is no such document. */
export function namesIn(document: string): string[] {
  let read: unknown;
  try {
    read = JSON.parse(document);
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
  const policies: unknown = typeof read === "object" && read !== null ? (read as { policies?: unknown }).policies : null;
  if (!Array.isArray(policies)) return [];
  return policies.flatMap((policy: unknown) => {
    const name: unknown = typeof policy === "object" && policy !== null ? (policy as { name?: unknown }).name : null;
    return typeof name === "string" ? [name] : [];
  });
}
