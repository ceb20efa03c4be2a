import assert from "node:assert/strict";
import test from "node:test";
import { EdgemetaError, readTensors, writeTensors } from "../dist/lib/index.js";
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

test("labels that cannot be saved are refused", async () => {
  for (const labels of [["a", "a"], [null], ["x".repeat(2 ** 19)]]) {
    await assert.rejects(learner.save(/** @type {any} */ (labels)), /labels cannot be saved/);
  }
});
