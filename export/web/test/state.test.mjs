import assert from "node:assert/strict";
import test from "node:test";
import { EdgemetaError, readTensors, writeTensors } from "../dist/lib/index.js";
import { digest } from "../dist/lib/safetensors.js";
import { recorded, runner } from "./bundle.mjs";

const X = recorded("support_x").data;
const QUERY = recorded("query_x").data;
const learner = await runner.adapt(X, recorded("support_y").data);
const saved = await learner.save(["alef", "قف", 3, 0.5, "𝒳"]);

/** Check that a state is refused. @param {Uint8Array} content @param {RegExp} text */
async function refused(content, text) {
  await assert.rejects(runner.loadState(content), (/** @type {unknown} */ error) => {
    assert.ok(error instanceof EdgemetaError && error.kind === "bundle", String(error));
    assert.match(error.message, text);
    return true;
  });
}

/** Change what a saved state says. @param {(file: ReturnType<typeof readTensors>) => void} change */
function changed(change) {
  const file = readTensors(saved);
  change(file);
  return writeTensors(file.tensors, file.metadata);
}

test("what is saved comes back", async () => {
  const loaded = await runner.loadState(saved);
  assert.deepEqual(await loaded.predictLogits(QUERY), await learner.predictLogits(QUERY));
  assert.equal(loaded.ways, learner.ways);
  assert.equal(loaded.losses.length, 0);
  assert.deepEqual((await runner.loadState(saved)).labels, ["alef", "قف", 3, 0.5, "𝒳"]);
  assert.equal((await runner.loadState(await learner.save())).labels, null);
  const init = await runner.loadState(await runner.init.save());
  assert.deepEqual(await init.predictLogits(QUERY), await runner.init.predictLogits(QUERY));
});

test("a Buffer, as Node reads a file, does as well", async () => {
  const buffer = Buffer.concat([Buffer.from("before"), saved, Buffer.from("after")]).subarray(6, -5);
  assert.deepEqual(await (await runner.loadState(buffer)).predict(QUERY), await learner.predict(QUERY));
});

test("every changed byte of a state is found", async () => {
  for (let at = 0; at < saved.length; at += 97) {
    const damaged = saved.slice();
    damaged[at] = /** @type {number} */ (damaged[at]) ^ 4;
    await refused(damaged, /^(the state|state)/);
  }
});

test("a state that is cut short or padded is refused", async () => {
  for (const size of [0, 7, 8, 100, saved.length - 4]) await refused(saved.slice(0, size), /cannot be read/);
  const longer = new Uint8Array(saved.length + 4);
  longer.set(saved);
  await refused(longer, /bytes that belong to no tensor/);
});

test("a state of another bundle, format or shape is refused", async () => {
  await refused(changed(({ metadata }) => metadata.set("edgemeta.bundle", "0".repeat(64))), /another bundle: got bundle 0{12}/);
  await refused(changed(({ metadata }) => metadata.set("edgemeta.format_version", "2")), /no state file of this format/);
  await refused(changed(({ metadata }) => metadata.set("edgemeta.ways", "70000")), /unusable number of ways/);
  await refused(changed(({ metadata }) => metadata.set("edgemeta.ways", "4")), /does not fit the bundle at head.weight/);
  await refused(changed(({ metadata }) => metadata.set("edgemeta.labels", '["x"]')), /is damaged: got other values/);
  await refused(changed(({ tensors }) => tensors.delete("head.bias")), /missing or unknown tensors: got head.bias/);
  await refused(
    changed(({ tensors }) => /** @type {Float32Array} */ (tensors.get("head.bias")?.data).set([Number.NaN])),
    /not finite in head.bias/,
  );
});

/** @type {[string, any][]} */
const NO_LABELS = [
  ["one twice", ["a", "a"]],
  ["one twice in the end", [1, 2, 1.0]],
  ["null", [null]],
  ["a truth value", [true]],
  ["a list", [["a"]]],
  ["nothing", [undefined]],
  ["a hole", [, "a"]],
  ["a bigint", [1n]],
  ["no list", "abc"],
  ["too much", ["x".repeat(2 ** 18)]],
  ["too many bytes", ["\u00e9".repeat(2 ** 17)]],
  ["a number that is none", [Number.NaN]],
  ["an endless number", [Number.POSITIVE_INFINITY]],
  ["a number beyond", [2 ** 53]],
  ["a huge number", [-1e300]],
  ["half a surrogate pair", ["\ud800"]],
  ["an escape", ["\u001b[31m"]],
  ["a control character of 8 bits", ["\u009b"]],
];
for (const [name, labels] of NO_LABELS) {
  test(`labels with ${name} cannot be saved`, async () => {
    await assert.rejects(learner.save(labels), (/** @type {unknown} */ error) => {
      assert.ok(error instanceof EdgemetaError && error.kind === "input", String(error));
      assert.match(error.message, /^labels cannot be saved: got .*, expected for each class another text/);
      return true;
    });
  });
}

/** Say something else in a state, and sign it as its writer would. @param {string} key @param {string} value */
async function said(key, value) {
  const { tensors, metadata } = readTensors(saved);
  metadata.set(key, value);
  metadata.delete("edgemeta.sha256");
  metadata.set("edgemeta.sha256", await digest(tensors, metadata));
  return writeTensors(tensors, metadata);
}

for (const text of ["{}", "null", "[true]", "[null]", '["a","a"]', "[1,1.0]", "[9007199254740992]", "[1e300]", '["\\u001b"]', '["\\ud800"]', "[1", "[NaN]", `["${"x".repeat(2 ** 18)}"]`]) {
  test(`a state with the labels ${text.slice(0, 20)} is refused`, async () => {
    await refused(await said("edgemeta.labels", text), /has no readable labels/);
  });
}

for (const text of ["", "-1", "+20", "2e1", "020000000000", "20.0", " 20", "\u0662\u0660"]) {
  test(`a state with the ways ${JSON.stringify(text)} is refused`, async () => {
    await refused(await said("edgemeta.ways", text), /unusable number of ways/);
  });
}

test("labels, notes and ways are read as they are meant", async () => {
  assert.deepEqual((await runner.loadState(await said("edgemeta.labels", '[1.0, "\\u00e9\\t", 2.5]'))).labels, [1, "\u00e9\t", 2.5]);
  assert.equal((await runner.loadState(await said("edgemeta.ways", `00${learner.ways}`))).ways, learner.ways);
  assert.equal((await runner.loadFile(await said("edgemeta.estimator", "{}"))).notes, "{}");
});

test("what is beside a state comes back, and others need not know of it", async () => {
  const kept = { data: Uint8Array.of(1, 2, 3, 4), dims: [2, 2], dtype: /** @type {const} */ ("uint8") };
  const extra = new Map([["edgemeta.support_x", kept]]);
  const content = await learner.save(["a"], { extra, notes: '{"of":"a phone"}' });
  const found = await runner.loadFile(content);
  assert.deepEqual([found.extra, found.notes, found.learner.labels], [extra, '{"of":"a phone"}', ["a"]]);
  assert.deepEqual(await (await runner.loadState(content)).predict(QUERY), await learner.predict(QUERY));
  assert.equal((await runner.loadFile(saved)).notes, null);
});

test("a state that is larger than any of this bundle is refused before it is read", async () => {
  const most = 2 ** 21 + 65536 * (784 + 8 + 4 * 257);
  await refused(new Uint8Array(most + 1), /is too large for this bundle: got \d+ bytes, expected at most \d+/);
});

/** @param {string} header @param {number} values bytes */
function tensorFile(header, values) {
  const text = new TextEncoder().encode(header);
  const content = new Uint8Array(8 + text.length + values);
  new DataView(content.buffer).setUint32(0, text.length, true);
  content.set(text, 8);
  return content;
}

/** @type {[string, string, RegExp][]} */
const HEADERS = [
  ["a name twice", '{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', /key "a" twice/],
  ["no metadata", '{"__metadata__":null}', /the metadata is no object/],
  ["metadata that are numbers", '{"__metadata__":{"a":1}}', /no texts/],
  ["a field more", '{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":1}}', /unknown fields: x/],
  ["a size with a point", '{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', /of shape/],
  ["17 axes", `{"a":{"dtype":"F32","shape":[${Array(17).fill(1)}],"data_offsets":[0,4]}}`, /of shape/],
  ["a product that wraps at 64 bits", '{"a":{"dtype":"F32","shape":[1073741824,1073741824,16],"data_offsets":[0,0]}}', /too large a shape/],
  ["an overlap", '{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}', /a hole/],
  ["a hole", '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}', /a hole/],
  ["an unknown dtype", '{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}', /dtype "BF16"/],
];
for (const [name, header, text] of HEADERS) {
  test(`a safetensors file with ${name} is refused`, () => {
    assert.throws(() => readTensors(tensorFile(header, 4)), text);
  });
}
