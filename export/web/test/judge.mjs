/**
 * Judges files and numbers from outside, for tests that hold C++, JavaScript and Python to one answer.
 *
 * On standard input are frames: four bytes with a length, little-endian, and so many bytes of JSON, a
 * request of some `kind`; a length of 0 ends them. Each is answered by one line of JSON: `verdict` is
 * "accept", or the kind of error whose message `why` is.
 */

import { findTemperature } from "../dist/lib/calibration.js";
import { familiarity } from "../dist/lib/familiarity.js";
import { checkProgress } from "../dist/lib/guard.js";
import { hex, platformSha256 } from "../dist/lib/hash.js";
import { EdgemetaError } from "../dist/lib/index.js";
import { parseManifest } from "../dist/lib/manifest.js";
import { checkGraph } from "../dist/lib/onnx-check.js";
import { digest, readTensors } from "../dist/lib/safetensors.js";
import { labelsText, readState } from "../dist/lib/state.js";
import { toBytes } from "../dist/lib/tensor.js";

/** @typedef {Record<string, any>} Facts */

/** @param {string} text base64 */
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));

/** @param {readonly (number | string)[]} values of which "NaN" and "Infinity" are some */
const numbers = (values) => Float32Array.from(values, Number);

/** @type {Record<string, (request: Facts) => Facts | Promise<Facts>>} */
const KINDS = {
  manifest({ content }) {
    const { task, ways, state, labels } = parseManifest(bytes(content));
    return { task, ways, labels, state: state.map(({ name }) => name) };
  },
  graph({ manifest, content, init, name }) {
    const parsed = parseManifest(bytes(manifest));
    const { ops } = asBundle(() => checkGraph(bytes(content), name, parsed, bytes(init)));
    return { ops: [...ops].sort() };
  },
  async state({ manifest, content }) {
    const text = bytes(manifest);
    const fingerprint = await hex(platformSha256, text);
    const { ways, labels, tensors } = await readState(bytes(content), parseManifest(text), fingerprint);
    /** @type {Record<string, string>} */
    const hashes = Object.create(null);
    for (const [name, tensor] of tensors) hashes[name] = await hex(platformSha256, toBytes(tensor));
    return { ways, labels, tensors: hashes };
  },
  labels({ labels }) {
    /** @type {unknown[]} */
    let parsed;
    try {
      parsed = JSON.parse(labels);
    } catch (error) {
      throw new EdgemetaError("input", "these labels are no JSON", { got: error });
    }
    labelsText(parsed);
    return {};
  },
  async digest({ content }) {
    const { metadata, tensors } = asBundle(() => readTensors(bytes(content)));
    return { digest: await digest(tensors, metadata) };
  },
  guard({ losses, state, targets }) {
    const tensor = (/** @type {(number | string)[]} */ values) => {
      return { data: numbers(values), dims: [values.length], dtype: /** @type {const} */ ("float32") };
    };
    checkProgress(numbers(losses), state.map(tensor), targets === null ? null : tensor(targets));
    return {};
  },
  temperature({ logits, y }) {
    return { temperature: findTemperature(rows(logits), y) };
  },
  familiarity({ logits, reference, own }) {
    const compared = { logits: rows(logits), reference: Float64Array.from(reference) };
    return { familiarity: [...familiarity(compared, Float32Array.from(own))] };
  },
};

/** @param {number[][]} logits */
const rows = (logits) => logits.map((row) => Float64Array.from(row));

/**
 * Do what a reader does inside of one that names the file.
 *
 * @template T @param {() => T} work @returns {T}
 */
function asBundle(work) {
  try {
    return work();
  } catch (error) {
    throw new EdgemetaError("bundle", "it cannot be read", { got: error });
  }
}

/** @param {Facts} request @returns {Promise<Facts>} */
async function judge(request) {
  const kind = KINDS[request["kind"]];
  if (kind === undefined) throw new Error(`unknown kind ${JSON.stringify(request["kind"])}`);
  try {
    return { verdict: "accept", why: "", ...(await kind(request)) };
  } catch (error) {
    // Anything else is a fault of ours, and ends the judge.
    if (!(error instanceof EdgemetaError)) throw error;
    return { verdict: error.kind, why: error.message };
  }
}

/** Yield the requests on standard input. */
async function* requests() {
  /** @type {Buffer[]} */
  let waiting = [];
  let there = 0;
  for await (const chunk of process.stdin) {
    waiting.push(chunk);
    there += chunk.length;
    for (;;) {
      if (there < 4) break;
      if ((waiting[0]?.length ?? 0) < 4) waiting = [Buffer.concat(waiting)];
      const size = /** @type {Buffer} */ (waiting[0]).readUInt32LE();
      if (size === 0) return;
      if (there < 4 + size) break;
      const whole = Buffer.concat(waiting);
      yield JSON.parse(whole.toString("utf8", 4, 4 + size));
      waiting = [whole.subarray(4 + size)];
      there -= 4 + size;
    }
  }
}

for await (const request of requests()) {
  process.stdout.write(`${JSON.stringify(await judge(request))}\n`);
}
