// Builds the notebook app into .build/app: hashed scripts and styles, the page that loads them,
// and a service worker that knows all of them. `make app` checks the types before.
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");
const out = join(root, ".build", "app");
const target = ["es2022"];

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });

const made = await build({
  entryPoints: [join(here, "src/main.tsx"), join(here, "src/app.css")],
  outdir: out,
  entryNames: "[name]-[hash]",
  chunkNames: "part-[hash]",
  assetNames: "[name]-[hash]",
  loader: { ".json": "file" },
  bundle: true,
  splitting: true,
  format: "esm",
  minify: true,
  legalComments: "none",
  jsx: "automatic",
  jsxImportSource: "preact",
  metafile: true,
  target,
  logLevel: "warning",
});

const files = Object.keys(made.metafile.outputs).map((path) => relative(out, join(process.cwd(), path)));
const find = (pattern) => files.find((name) => pattern.test(name));
const script = find(/^main-.*\.js$/);
const style = find(/^app-.*\.css$/);

let page = await readFile(join(here, "index.html"), "utf8");
page = page.replaceAll("{{script}}", script).replaceAll("{{style}}", style);
await writeFile(join(out, "index.html"), page);
for (const name of ["manifest.webmanifest", "icon.svg"]) await cp(join(here, name), join(out, name));

const kept = ["./", ...files, "manifest.webmanifest", "icon.svg"];
const hash = createHash("sha256");
for (const name of ["index.html", ...files, "manifest.webmanifest", "icon.svg"])
  hash.update(await readFile(join(out, name)));
await build({
  entryPoints: [join(here, "src/sw.ts")],
  outfile: join(out, "sw.js"),
  bundle: true,
  minify: true,
  define: { VERSION: JSON.stringify(hash.digest("hex").slice(0, 16)), FILES: JSON.stringify(kept) },
  target,
  logLevel: "warning",
});

// What the first screens load, for the budget: the entry and what it imports at once.
const outputs = made.metafile.outputs;
const key = (name) => Object.keys(outputs).find((path) => path.endsWith("/" + name));
const first = new Set();
const walk = (path) => {
  if (first.has(path)) return;
  first.add(path);
  for (const each of outputs[path].imports) if (each.kind === "import-statement") walk(each.path);
};
walk(key(script));
const entries = {};
for (const [path, each] of Object.entries(outputs))
  if (each.entryPoint) entries[relative(here, join(process.cwd(), each.entryPoint))] = relative(out, join(process.cwd(), path));
await writeFile(
  join(root, ".build", "app.json"),
  JSON.stringify({ first: [...first].map((path) => relative(out, join(process.cwd(), path))), entries, kept }, null, 1),
);
