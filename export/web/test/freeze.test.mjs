import assert from "node:assert/strict";
import test from "node:test";
import { Runner } from "../dist/lib/index.js";
import { files, OMNIGLOT, ort, recorded, refused, runner } from "./bundle.mjs";

const X = /** @type {Uint8Array} */ (recorded("support_x").data);
const Y = Array.from(recorded("support_y").data, Number);
const QUERY = /** @type {Uint8Array} */ (recorded("query_x").data);

test("a frozen learner predicts the same", async () => {
  for (const learner of [await runner.adapt(X, Y), runner.init]) {
    const frozen = await learner.freeze();
    assert.ok(frozen.frozen && !learner.frozen);
    assert.equal(await frozen.freeze(), frozen);
    assert.equal(frozen.ways, learner.ways);
    const [got, want] = [await frozen.predictLogits(QUERY), await learner.predictLogits(QUERY)];
    const largest = Math.max(...want.flatMap((row) => [...row].map(Math.abs)));
    got.forEach((row, k) => {
      row.forEach((value, c) => {
        const apart = Math.abs(value - Number(want[k]?.[c]));
        assert.ok(apart <= 1e-5 * largest, `${apart} of ${largest}`); // rounding; largest seen 0
      });
    });
    assert.deepEqual(await frozen.predict(QUERY), await learner.predict(QUERY));
    await frozen.release();
  }
});

test("a frozen learner is saved, and adapted further", async () => {
  const learner = await runner.loadState(await (await runner.adapt(X, Y)).save(["a", "b"]));
  const frozen = await learner.freeze();
  assert.deepEqual(frozen.labels, ["a", "b"]);
  assert.deepEqual(await frozen.save(), await learner.save());
  const further = await runner.adapt(X, Y, { state: frozen });
  assert.ok(!further.frozen);
  const same = await runner.adapt(X, Y, { state: learner });
  assert.deepEqual(await further.predictLogits(QUERY), await same.predictLogits(QUERY));
  await frozen.release();
});

test("a frozen learner that was released predicts no more; the other does", async () => {
  const learner = await runner.adapt(X, Y);
  const frozen = await learner.freeze();
  await Promise.all([frozen.release(), frozen.release()]);
  await refused(frozen.predict(QUERY), "input", /the learner was released/);
  assert.deepEqual(await frozen.save(), await learner.save());
  assert.deepEqual(await (await learner.freeze()).predict(QUERY), await learner.predict(QUERY));
});

test("a bundle that is gone, or another one, cannot be frozen", async () => {
  const there = await files();
  const other = await Runner.load({ files: there }, { ort });
  const learner = await other.adapt(X, Y);
  there["predict.onnx"] = there["adapt.onnx"] ?? new Uint8Array();
  await refused(learner.freeze(), "bundle", /^predict.onnx is damaged/);
  delete there["predict.onnx"];
  await refused(learner.freeze(), "bundle", /^the files are not a bundle/);
  assert.equal((await learner.predict(X)).length, Y.length);
});

test("a frozen learner outlives its runner", async () => {
  const other = await Runner.load(OMNIGLOT, { ort });
  const frozen = await (await other.adapt(X, Y)).freeze();
  const before = await frozen.predict(QUERY);
  await other.release();
  assert.deepEqual(await frozen.predict(QUERY), before);
  await frozen.release();
});
