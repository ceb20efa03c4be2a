/** The packaged bundle and its drawings, for tests. */

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { readTensors, Runner } from "../dist/lib/index.js";

process.env["ORT_DISABLE_TELEMETRY"] = "1"; // before onnxruntime is loaded
export const ort = await import("onnxruntime-node");

export const OMNIGLOT = fileURLToPath(new URL("../../../edgemeta/bundles/omniglot", import.meta.url));
export const NAMES = ["manifest.json", "adapt.onnx", "predict.onnx", "init.bin", "selftest.safetensors"];

/** Return the files of the bundle, by name, to change as a test likes. */
export async function files() {
  /** @type {Record<string, Uint8Array>} */
  const found = {};
  for (const name of NAMES) found[name] = new Uint8Array(await readFile(`${OMNIGLOT}/${name}`));
  return found;
}

export const runner = await Runner.load(OMNIGLOT, { ort });

/** Return a tensor of the recorded episode. @param {string} name */
export function recorded(name) {
  const tensor = readTensors(runner.selftest).tensors.get(name);
  if (tensor === undefined) throw new Error(`no ${name}`);
  return tensor;
}
