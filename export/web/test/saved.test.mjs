import assert from "node:assert/strict";
import test from "node:test";
import { FewShotClassifier, readTensors, writeTensors } from "../dist/lib/index.js";
import { digest } from "../dist/lib/safetensors.js";
import { recorded, refused, runner } from "./bundle.mjs";

const X = /** @type {Uint8Array} */ (recorded("support_x").data);
const Y = Array.from(recorded("support_y").data, Number);
const CLASSES = new Set(Y).size;
const NOTES = "edgemeta.estimator";

const kept = new FewShotClassifier(runner, { keepSupport: true, calibrate: false });
const saved = await (await kept.fit(X, Y)).save();

/**
 * Return the saved file after a change, with the hash that is right for it.
 *
 * @param {(file: ReturnType<typeof readTensors>) => void} change
 */
async function changed(change) {
  const file = readTensors(saved);
  change(file);
  file.metadata.delete("edgemeta.sha256");
  file.metadata.set("edgemeta.sha256", await digest(file.tensors, file.metadata));
  return writeTensors(file.tensors, file.metadata);
}

/** Return the saved file with other notes. @param {(notes: string) => string} change */
function noted(change) {
  return changed(({ metadata }) => metadata.set(NOTES, change(metadata.get(NOTES) ?? "")));
}

const load = (/** @type {Uint8Array} */ content) => new FewShotClassifier(runner).load(content);

test("a whole temperature is written so that Python reads it", async () => {
  const loaded = await load(await noted((notes) => notes.replace("null", "2.0")));
  assert.deepEqual([loaded.calibrated, loaded.temperature], [true, 2]);
  assert.match(readTensors(await loaded.save()).metadata.get(NOTES) ?? "", /"temperature": 2\.0,/);
});

/** @type {[string, (notes: string) => string, RegExp][]} */
const CHANGES = [
  ["no object", () => "[]", /is no object/],
  ["no JSON", () => "{", /got no JSON/],
  ["a field more", (notes) => notes.replace("{", '{"more": 1, '), /missing or unknown fields: more/],
  ["a field less", (notes) => notes.replace(', "flat": true', ""), /missing or unknown fields: flat/],
  ["a key twice", (notes) => notes.replace("{", '{"flat": true, '), /"flat" twice/],
  ["a whole temperature", (notes) => notes.replace("null", "2"), /temperature 2/],
  ["no temperature", (notes) => notes.replace("null", "0.0"), /temperature 0/],
  ["a temperature below zero", (notes) => notes.replace("null", "-0.5"), /temperature -0.5/],
  ["a temperature in words", (notes) => notes.replace("null", '"hot"'), /temperature "hot"/],
  ["no list of labels", (notes) => notes.replace(/\[[^\]]*\]/, "null"), /labels null/],
  ["no labels", (notes) => notes.replace(/\[[^\]]*\]/, "[]"), /0 labels for/],
  ["a label twice", (notes) => notes.replace("[0,1", "[0,0.0"), /0 twice/],
  ["a list as a label", (notes) => notes.replace("[0", "[[0,1]"), /a class called \[0,1\], expected texts/],
  ["truth as a label", (notes) => notes.replace("[0", "[true"), /a class called true/],
  ["a huge label", (notes) => notes.replace("[0", "[1e300"), /1e\+300 as a label/],
  ["a label more", (notes) => notes.replace("[0", '["x",0'), new RegExp(`${CLASSES + 1} labels for ${CLASSES}`)],
  ["samples below zero", (notes) => notes.replace(/(samples": \[)/, "$1-"), /samples \[-/],
  ["samples in parts", (notes) => notes.replace(/(samples": \[)/, "$10.5,"), /samples \[0.5/],
  ["no samples", (notes) => notes.replace(/(samples": \[)[^\]]*/, `$1${Y.map(() => 0).slice(0, CLASSES)}`), /samples \[0,/],
  ["no truth value", (notes) => notes.replace('"flat": true', '"flat": 1'), /flat 1/],
];
for (const [name, change, text] of CHANGES) {
  test(`notes with ${name} are refused`, async () => {
    const content = await noted((notes) => {
      const found = change(notes);
      assert.notEqual(found, notes);
      return found;
    });
    await refused(load(content), "bundle", /^the state is no file of a classifier: got .*; write it with/);
    await refused(load(content), "bundle", text);
  });
}

/** @type {[string, (tensors: Map<string, any>) => void, RegExp][]} */
const TENSORS = [
  ["without a lead", (tensors) => tensors.delete("edgemeta.lead"), /no edgemeta.lead/],
  [
    "with a lead more",
    (tensors) => tensors.set("edgemeta.lead", { data: new Float32Array(9), dims: [9], dtype: "float32" }),
    /edgemeta.lead float32 \(9\), expected float32/,
  ],
  ["with a lead that is no number", (tensors) => tensors.get("edgemeta.lead").data.fill(NaN), /not finite/],
  ["without its spare row", (tensors) => tensors.delete("edgemeta.head.bias"), /no edgemeta.head.bias/],
  ["without labels of samples", (tensors) => tensors.delete("edgemeta.support_y"), /no edgemeta.support_y/],
  ["without samples of labels", (tensors) => tensors.delete("edgemeta.support_x"), /no edgemeta.support_x/],
  ["with a class of none", (tensors) => tensors.get("edgemeta.support_y").data.fill(99n), /a sample of class 99 of/],
];
for (const [name, change, text] of TENSORS) {
  test(`a file ${name} is refused`, async () => {
    const content = await changed(({ tensors }) => change(tensors));
    await refused(load(content), "bundle", text);
  });
}

test("a file without notes, or damaged, is refused", async () => {
  await refused(load(await (await runner.adapt(X, Y)).save()), "bundle", /the state of a plain learner/);
  for (let at = 0; at < saved.length; at += 997) {
    const damaged = saved.slice();
    damaged[at] = /** @type {number} */ (damaged[at]) ^ 4;
    await refused(load(damaged), "bundle", /^the state/);
  }
});
