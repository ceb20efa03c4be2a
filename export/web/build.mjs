/**
 * Build the module for React Native, and the pages into dist/: the demo, one folder that any static
 * server can serve, and the page of the parity adapter. `tsc` has built the package before.
 */

import { existsSync } from "node:fs";
import { cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const bundles = join(here, "..", "..", "edgemeta", "device", "packaged");
// onnxruntime's modules stay files of their own: their threads load them by their address.
const WASM = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];
const WEBGPU = [
  "ort.webgpu.min.mjs",
  "ort-wasm-simd-threaded.asyncify.mjs",
  "ort-wasm-simd-threaded.asyncify.wasm",
];
const ort = dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));

/** @type {import("esbuild").Plugin} */
const ortBeside = {
  name: "onnxruntime-web beside the page",
  setup(builder) {
    builder.onResolve({ filter: /^onnxruntime-web/ }, ({ path }) => {
      const [module] = path.endsWith("/webgpu") ? WEBGPU : WASM;
      return { path: `./ort/${module}`, external: true };
    });
  },
};

/** @type {import("esbuild").Plugin} */
const filesOfNative = {
  name: "no files in React Native",
  setup(builder) {
    builder.onResolve({ filter: /^#files$/ }, () => ({ path: join(here, "src", "files-native.ts") }));
  },
};

await build({
  entryPoints: [join(here, "src", "react-native.ts")],
  outfile: join(here, "dist", "native", "index.js"),
  bundle: true,
  format: "esm",
  target: "es2020", // Metro does the rest
  external: ["@noble/*"],
  logLevel: "warning",
  plugins: [filesOfNative],
});

/**
 * @param {string} folder in dist/
 * @param {string[]} scripts
 * @param {string[]} files to copy as they are.
 * @param {string[]} runtime files of onnxruntime.
 */
async function page(folder, scripts, files, runtime) {
  const out = join(here, "dist", folder);
  await rm(out, { recursive: true, force: true });
  await build({
    entryPoints: scripts.map((script) => join(here, folder, script)),
    outdir: out,
    bundle: true,
    format: "esm",
    splitting: true, // what checks signatures is loaded by whoever asks for it
    target: "es2022",
    minify: true,
    legalComments: "none",
    logLevel: "warning",
    plugins: [ortBeside],
  });
  for (const file of files) await cp(join(here, folder, file), join(out, file));
  await mkdir(join(out, "ort"));
  for (const file of runtime) await cp(join(ort, file), join(out, "ort", file));
  return out;
}

await page("parity", ["page.ts"], ["index.html"], [...WASM, ...WEBGPU]);
const demo = await page("demo", ["main.ts", "capture.ts"], ["index.html", "style.css"], WASM);
const names = (await readdir(bundles, { withFileTypes: true }))
  .filter((entry) => existsSync(join(bundles, entry.name, "manifest.json")))
  .map((entry) => entry.name);
for (const name of names) {
  await cp(join(bundles, name), join(demo, "bundles", name), { recursive: true });
}
await writeFile(join(demo, "bundles", "index.json"), JSON.stringify(names));
