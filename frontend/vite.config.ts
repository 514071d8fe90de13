import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { licenses } from "./licenses.ts";

// The appliance that `npm run dev` talks to; start one with scripts/dev or scripts/demo.
const appliance = process.env.HOLDFAST_PUBLIC_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react(), licenses(["@fontsource-variable/open-sans"])],
  build: {
    outDir: process.env.HOLDFAST_CONSOLE_OUT ?? "../frontend_dist",
    emptyOutDir: true,
    sourcemap: false,
    target: "es2022",
    // Nothing inline: the content security policy allows scripts, styles and fonts of our own origin only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { "/graphql": { target: appliance, ws: true } } },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
