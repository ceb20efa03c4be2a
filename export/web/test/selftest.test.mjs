import assert from "node:assert/strict";
import test from "node:test";
import { readTensors, Runner, verify, writeTensors } from "../dist/lib/index.js";
import { files, ort, refused, resign, runner } from "./bundle.mjs";

const BLOCK = 512;
const NAME = "head.weight.next"; // (20, 256): ten blocks

/** @typedef {import("../dist/lib/index.js").Tensors} Tensors */

/** Return the packaged bundle with another selftest. @param {(tensors: Tensors) => void} change */
async function changed(change) {
  const { tensors } = readTensors(await runner.selftest());
  change(tensors);
  const found = await files();
  found["selftest.safetensors"] = writeTensors(tensors);
  resign(found);
  return Runner.load({ files: found }, { ort });
}

/** Keep one value of each block, and the root mean squares. @param {Tensors} tensors */
function sample(tensors) {
  const whole = /** @type {Float32Array} */ (tensors.get(NAME)?.data);
  tensors.delete(NAME);
  const largest = whole.reduce((best, value, k) => (Math.abs(value) > Math.abs(whole[best] ?? 0) ? k : best), 0);
  const blocks = Array.from({ length: Math.ceil(whole.length / BLOCK) }, (_, k) => whole.subarray(k * BLOCK, (k + 1) * BLOCK));
  const places = Int32Array.from(blocks, (_, k) => (k === Math.floor(largest / BLOCK) ? largest : k * BLOCK + 7));
  const values = Float32Array.from(places, (place) => whole[place] ?? NaN);
  const rms = Float32Array.from(blocks, (block) => Math.sqrt(block.reduce((sum, x) => sum + x * x, 0) / block.length));
  tensors.set(`${NAME}.values`, { data: values, dims: [values.length], dtype: "float32" });
  tensors.set(`${NAME}.places`, { data: places, dims: [places.length], dtype: "int32" });
  tensors.set(`${NAME}.rms`, { data: rms, dims: [rms.length], dtype: "float32" });
}

/** Set a number of a sampled selftest. @param {string} part @param {number} index @param {number} value */
function set(part, index, value) {
  return (/** @type {Tensors} */ tensors) => {
    sample(tensors);
    /** @type {Float32Array} */ (tensors.get(`${NAME}.${part}`)?.data)[index] = value;
  };
}

test("samples of a large result serve as well as all of it", async () => {
  const [whole, samples] = [await verify(runner), await verify(await changed(sample))];
  const of = (/** @type {typeof whole} */ found) => found.find(({ tensor }) => tensor === NAME);
  assert.equal(of(samples)?.limit, of(whole)?.limit);
  assert.ok((of(samples)?.largest ?? 1) <= (of(whole)?.largest ?? 0));
});

for (const part of ["values", "rms"]) {
  test(`${part} that are off are found out`, async () => {
    const other = await changed((tensors) => {
      sample(tensors);
      const { data } = /** @type {{ data: Float32Array }} */ (tensors.get(`${NAME}.${part}`));
      data.forEach((value, k) => (data[k] = value * 0.99));
    });
    await refused(verify(other), "runtime", /head.weight.next differs: got .*, expected at most/);
  });
}

/** @type {[string, (tensors: Tensors) => void][]} */
const DAMAGE = [
  ["neither form", (tensors) => tensors.delete(NAME)],
  ["no values", (tensors) => (sample(tensors), tensors.delete(`${NAME}.values`))],
  ["no places", (tensors) => (sample(tensors), tensors.delete(`${NAME}.places`))],
  ["no root mean squares", (tensors) => (sample(tensors), tensors.delete(`${NAME}.rms`))],
  ["values too few", (tensors) => (sample(tensors), tensors.set(`${NAME}.values`, { data: new Float32Array(2), dims: [2], dtype: "float32" }))],
  ["places of another type", (tensors) => (sample(tensors), tensors.set(`${NAME}.places`, { data: new BigInt64Array(10), dims: [10], dtype: "int64" }))],
  ["a place in another block", set("places", 1, 0)],
  ["a place below", set("places", 0, -1)],
  ["a place beyond", set("places", 9, 20 * 256)],
  ["a value that is no number", set("values", 0, NaN)],
  ["a root mean square below zero", set("rms", 0, -1)],
  ["a root mean square above all values", set("rms", 0, 1e3)],
  ["a root mean square that is no number", set("rms", 0, NaN)],
];
for (const [name, change] of DAMAGE) {
  test(`a selftest with ${name} is refused`, async () => {
    await refused(verify(await changed(change)), "bundle", /the selftest does not fit the bundle: head.weight.next/);
  });
}

test("a selftest that is no safetensors file is refused", async () => {
  const found = await files();
  found["selftest.safetensors"] = new Uint8Array(20).fill(1);
  resign(found);
  await refused(verify(await Runner.load({ files: found }, { ort })), "bundle", /selftest.safetensors cannot be read/);
});

test("a recorded result that is no number is found out", async () => {
  const other = await changed((tensors) => {
    /** @type {Float32Array} */ (tensors.get("logits")?.data)[0] = NaN;
  });
  await refused(verify(other), "runtime", /logits differs/);
});

test("without queries the support samples are predicted", async () => {
  const { tensors } = readTensors(await runner.selftest());
  const [x, y] = [tensors.get("support_x"), tensors.get("support_y")];
  assert.ok(x && y);
  const learner = await runner.adapt(x.data, y.data, { steps: Number(tensors.get("steps")?.data[0]), guard: false });
  const rows = await learner.predictLogits(x.data);
  const other = await changed((each) => {
    each.delete("query_x");
    each.set("logits", { data: Float32Array.from(rows.flatMap((row) => [...row])), dims: [rows.length, rows[0]?.length ?? 0], dtype: "float32" });
  });
  await verify(other);
});
