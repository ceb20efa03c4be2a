import assert from "node:assert/strict";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { runner } from "./bundle.mjs";

const source = fileURLToPath(new URL("../demo/symbols.ts", import.meta.url));
const { outputFiles } = await build({ entryPoints: [source], write: false, format: "esm" });
/** @type {typeof import("../demo/symbols.ts")} */
const symbols = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0]?.text ?? "")}`);
const { example, EXAMPLE_NAMES, rasterise, SIDE } = symbols;

/** Return random numbers in 0..1, the same for a seed. @param {number} seed */
function random(seed) {
  let state = seed;
  return () => {
    state = (1664525 * state + 1013904223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

/** Return the sum of the ink in each column. @param {Uint8Array} picture */
function columns(picture) {
  const sums = new Array(SIDE).fill(0);
  picture.forEach((value, k) => (sums[k % SIDE] += value / 255));
  return sums;
}

const line = [{ x: 50, y: 10 }, { x: 50, y: 90 }];

test("a stroke is as wide and as long as Omniglot's, in the middle", () => {
  const picture = rasterise([line], 100);
  const sums = columns(picture);
  const rows = columns(Uint8Array.from(picture, (_, k) => /** @type {number} */ (picture[(k % SIDE) * SIDE + Math.floor(k / SIDE)])));
  const [first, last] = [rows.findIndex((sum) => sum > 0), rows.findLastIndex((sum) => sum > 0)];
  assert.equal(last - first + 1, 19); // the median of the drawings' longer sides
  assert.ok(Math.abs((first + last) / 2 - 13) <= 0.5);
  assert.ok(Math.abs((rows[13] ?? 0) - 1.4) < 0.15); // a quarter of a pixel, half of it on each side
  assert.equal(sums.filter((sum) => sum > 0).length, 3);
});

test("size and place of a drawing do not matter, a dot stays one", () => {
  const far = line.map(({ x, y }) => ({ x: x * 3 + 500, y: y * 3 + 20 }));
  assert.deepEqual(rasterise([far], 300), rasterise([line], 100));
  const dot = rasterise([[{ x: 5, y: 5 }, { x: 6, y: 5 }]], 100);
  assert.ok(columns(dot).reduce((a, b) => a + b) < 6);
  assert.equal(Math.max(...dot), 255);
});

test("examples differ, and are told apart after three of each", async () => {
  const count = EXAMPLE_NAMES.length;
  const next = random(7);
  const drawn = (/** @type {number} */ label) => rasterise(example(label, 100, next), 100);
  assert.notDeepEqual(drawn(0), drawn(0));
  const labels = Array.from({ length: 3 * count }, (_, k) => k % count);
  const learner = await runner.adapt(labels.map(drawn), labels, { steps: 10, lrScale: 0.02 });
  const asked = Array.from({ length: 10 * count }, (_, k) => k % count);
  const found = await learner.predict(asked.map(drawn));
  const right = found.filter((label, k) => label === asked[k]).length;
  assert.ok(right >= 0.95 * asked.length, `${right} of ${asked.length}`);
});
