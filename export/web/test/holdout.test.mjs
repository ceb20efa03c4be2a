import assert from "node:assert/strict";
import test from "node:test";
import { recorded, refused, runner } from "./bundle.mjs";

const X = /** @type {Uint8Array} */ (recorded("support_x").data);
const Y = Array.from(recorded("support_y").data, Number);
const WAYS = new Set(Y).size;
const PIXELS = 28 * 28;

test("an adaptation that is no worse on the holdout passes", async () => {
  const learner = await runner.adapt(X, Y, { holdout: [X, Y] });
  assert.deepEqual(await learner.predict(X), Y);
  const further = await runner.adapt(X, Y, { state: learner, holdout: [X, Y] });
  assert.equal(further.ways, learner.ways);
});

test("an adaptation that makes the holdout worse is refused, and says the losses", async () => {
  const learner = await runner.adapt(X, Y);
  const swapped = Y.map((y) => (y + 1) % WAYS);
  const doing = runner.adapt(X, swapped, { state: learner, steps: 5, holdout: [X, Y] });
  const text = new RegExp(
    `^adaptation made the holdout worse: got \\d+ of ${Y.length} right, expected at least ${Y.length}; nothing was`,
  );
  await refused(doing, "adaptation", text);
  await doing.catch((error) => assert.equal(error.losses.length, 6));
  assert.deepEqual(await learner.predict(X), Y);
});

test("a holdout that cannot be used is refused", async () => {
  const one = X.slice(0, PIXELS);
  const wrong = /** @type {[any, any, RegExp][]} */ ([
    [X.slice(1), Y, /^holdout_x has the wrong size/],
    [one, [WAYS], new RegExp(`^holdout_y has labels outside the task's classes: got ${WAYS}`)],
    [one, [0, 1], /^holdout_y does not fit holdout_x/],
  ]);
  for (const [x, y, text] of wrong) await refused(runner.adapt(X, Y, { holdout: [x, y] }), "input", text);
});
