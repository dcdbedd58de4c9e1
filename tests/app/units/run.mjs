// Bundles each *.test.ts of this folder and runs it with node's own test runner.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = await mkdtemp(join(tmpdir(), "units-"));
const names = (await readdir(here)).filter((name) => name.endsWith(".test.ts"));
await build({
  entryPoints: names.map((name) => join(here, name)),
  outdir: out,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  loader: { ".json": "file" },
  jsx: "automatic",
  jsxImportSource: "preact",
  banner: {
    // What a browser has and node has not, as far as modules ask for it when they are read.
    js: "globalThis.location ??= new URL('http://127.0.0.1/app/'); globalThis.addEventListener ??= () => {}; globalThis.window ??= globalThis; globalThis.navigator ??= { onLine: true }; globalThis.document ??= { addEventListener() {}, visibilityState: 'hidden' };",
  },
  logLevel: "error",
});
const run = spawnSync(process.execPath, ["--test", ...names.map((name) => join(out, name.replace(/ts$/, "mjs")))], { encoding: "utf8" });
process.stdout.write(run.stdout);
process.stderr.write(run.stderr);
await rm(out, { recursive: true });
process.exit(run.status ?? 1);
