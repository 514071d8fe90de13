/** Input path, as the server names it → sentence. */
export type Problems = Readonly<Record<string, string>>;

/**
 * The sentence of a field: of its path or of whatever lies beneath it (`scope.tags` takes `scope.tags.0.key`).
 * A path that begins with `=` stands for itself alone.
 */
export function sentenceAt(problems: Problems, ...paths: string[]): string | undefined {
  for (const [given, sentence] of Object.entries(problems)) {
    const plain = plainPath(given);
    if (paths.some((path) => (path.startsWith("=") ? plain === path.slice(1) : plain === path || plain.startsWith(`${path}.`)))) return sentence;
  }
  return undefined;
}

/** `input.scope.tags[0].key` → `scope.tags.0.key`. */
export function plainPath(path: string): string {
  return path.replace(/\[(\d+)\]/g, ".$1").replace(/^(input|policy|template)\./, "");
}
