import assert from "node:assert/strict";
import test from "node:test";
import { FewShotClassifier, Runner } from "../dist/lib/index.js";
import { OMNIGLOT, recorded, refused, runner } from "./bundle.mjs";
import { onCard } from "./stand-ins.mjs";

const X = /** @type {Uint8Array} */ (recorded("support_x").data);
const Y = Array.from(recorded("support_y").data, Number);
const STATE = 2; // tensors: head.weight and head.bias

Object.defineProperty(globalThis, "navigator", { value: { gpu: { requestAdapter: async () => ({}) } } });

test("a frozen learner has its state in memory, and leaves the other's on the card", async () => {
  const { ort, card } = onCard();
  const other = await Runner.load(OMNIGLOT, { ort, webgpu: true });
  const learner = await other.adapt(X, Y, { guard: false });
  const frozen = await learner.freeze();
  assert.deepEqual([card.buffers.size, card.downloads], [STATE, STATE]);
  await frozen.release();
  assert.equal(card.buffers.size, STATE);
  assert.deepEqual(await learner.predict(X), Y);
  const again = await learner.freeze();
  await learner.release();
  assert.deepEqual(await again.predict(X), Y);
  await refused(learner.predict(X), "input", /the learner was released/);
});

test("calibrating and a refused holdout leave nothing on the card", async () => {
  const { ort, card } = onCard();
  const other = await Runner.load(OMNIGLOT, { ort, webgpu: true });
  const [x, y] = [new Uint8Array([...X, ...X]), [...Y, ...Y]];
  const classifier = await new FewShotClassifier(other).fit(x, y);
  assert.ok(classifier.calibrated);
  assert.equal(card.buffers.size, STATE);
  const here = await new FewShotClassifier(runner).fit(x, y);
  assert.deepEqual(await classifier.predictProba(X), await here.predictProba(X));
  assert.deepEqual(await classifier.save(), await here.save());
  const learner = await other.adapt(X, Y);
  const swapped = Y.map((label) => (label + 1) % Y.length);
  const doing = other.adapt(X, swapped, { state: learner, steps: 5, holdout: [X, Y] });
  await refused(doing, "adaptation", /made the holdout worse/);
  assert.equal(card.buffers.size, 2 * STATE);
});
