import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const LICENSE_FILE = /^(licen[cs]e|notice|copying)(\.\w+)?$/i;

/** Writes licenses.txt beside the built console: the licence of every package whose code or font is in it. */
export function licenses(alsoUsed: readonly string[]): Plugin {
  return {
    name: "licenses",
    apply: "build",
    generateBundle(_options, bundle) {
      const folders = new Set(alsoUsed.map((name) => join("node_modules", name)));
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== "chunk") continue;
        for (const id of chunk.moduleIds) {
          const found = /^.*(node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id);
          if (found?.[1] && existsSync(join(found[1], "package.json"))) folders.add(found[1]);
        }
      }
      const parts = [...folders].sort().map(describe);
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: parts.join(`\n${"-".repeat(80)}\n`) });
    },
  };
}

function describe(folder: string): string {
  const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { name: string; version: string; license?: string };
  const texts = readdirSync(folder)
    .filter((name) => LICENSE_FILE.test(name))
    .sort()
    .map((name) => readFileSync(join(folder, name), "utf8").trim());
  return `${about.name} ${about.version} (${about.license ?? "see below"})\n\n${texts.join("\n\n")}\n`;
}
