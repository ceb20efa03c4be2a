/** The packaged bundle and its drawings, for tests. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { EdgemetaError, readTensors, Runner } from "../dist/lib/index.js";

process.env["ORT_DISABLE_TELEMETRY"] = "1"; // before onnxruntime is loaded
export const ort = await import("onnxruntime-node");

export const OMNIGLOT = fileURLToPath(new URL("../../../edgemeta/device/packaged/omniglot", import.meta.url));
export const NAMES = ["manifest.json", "adapt.onnx", "predict.onnx", "init.bin", "selftest.safetensors"];

/** Return the files of the bundle, by name, to change as a test likes. */
export async function files() {
  /** @type {Record<string, Uint8Array>} */
  const found = {};
  for (const name of NAMES) found[name] = new Uint8Array(await readFile(`${OMNIGLOT}/${name}`));
  return found;
}

export const runner = await Runner.load(OMNIGLOT, { ort });

const { tensors } = readTensors(await runner.selftest());

/** Return a tensor of the recorded episode. @param {string} name */
export function recorded(name) {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`no ${name}`);
  return tensor;
}

/** Check that something is refused: the kind, and one line of text. */
export async function refused(/** @type {Promise<unknown>} */ doing, /** @type {string} */ kind, /** @type {RegExp} */ text) {
  await assert.rejects(doing, (/** @type {unknown} */ error) => {
    assert.ok(error instanceof EdgemetaError, String(error));
    assert.equal(error.kind, kind);
    assert.match(error.message, text);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

/** Write the hashes of changed files into the manifest. */
export function resign(/** @type {Record<string, Uint8Array>} */ changed) {
  const manifest = JSON.parse(new TextDecoder().decode(changed["manifest.json"]));
  for (const name of NAMES.slice(1)) {
    const content = /** @type {Uint8Array} */ (changed[name]);
    const sha256 = createHash("sha256").update(content).digest("hex");
    manifest.files[name] = { size: content.length, sha256 };
  }
  changed["manifest.json"] = new TextEncoder().encode(JSON.stringify(manifest));
}
