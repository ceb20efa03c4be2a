import assert from "node:assert/strict";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const source = fileURLToPath(new URL("../demo/sound.ts", import.meta.url));
const { outputFiles } = await build({ entryPoints: [source], write: false, format: "esm" });
/** @type {typeof import("../demo/sound.ts")} */
const sound = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0]?.text ?? "")}`);
const { centred, example, EXAMPLE_NAMES, hasWord, levels } = sound;

const RATE = 16_000;

/** Return noise with a tone in it. @param {number} seconds @param {number} from @param {number} to */
function recording(seconds, from, to) {
  return Float32Array.from({ length: seconds * RATE }, (_, n) => {
    const loud = n >= from * RATE && n < to * RATE ? 0.3 : 0.003;
    return loud * Math.sin(0.3 * n) * (1 + 0.1 * Math.sin(7.7 * n));
  });
}

/** Return the middle of what is loud, in seconds. @param {Float32Array} clip */
function middle(clip) {
  const loud = [...clip.keys()].filter((n) => Math.abs(clip[n] ?? 0) > 0.1);
  return (/** @type {number} */ (loud[0]) + /** @type {number} */ (loud.at(-1))) / 2 / RATE;
}

for (const [from, to] of [[0.1, 0.5], [0.7, 1.2], [1.3, 1.75]]) {
  test(`a word at ${from} to ${to} s comes into the middle of its clip`, () => {
    const clip = centred(recording(1.8, from ?? 0, to ?? 0), RATE, RATE);
    assert.equal(clip.length, RATE);
    assert.ok(Math.abs(middle(clip) - 0.5) < 0.02, `${middle(clip)}`); // a frame is 0.02 s
  });
}

test("silence, and what is shorter than a clip, come to a clip", () => {
  assert.deepEqual(centred(new Float32Array(2 * RATE), RATE, RATE), new Float32Array(RATE));
  assert.ok(Math.abs(middle(centred(recording(0.4, 0.1, 0.3), RATE, RATE)) - 0.5) < 0.02);
});

test("a word is heard when it is in the middle, and above the room", () => {
  const room = 0.003 ** 2 / 2;
  const heard = (/** @type {number} */ from, /** @type {number} */ to) =>
    hasWord(levels(recording(1, from, to), RATE), room);
  assert.ok(heard(0.3, 0.7));
  assert.ok(!heard(0.6, 1));
  assert.ok(!heard(0, 0.4));
  assert.ok(!heard(0, 0));
});

test("example sounds differ, last a second, and lie in its middle", () => {
  EXAMPLE_NAMES.forEach((_, k) => {
    const [one, two] = [example(k, RATE, RATE, Math.random), example(k, RATE, RATE, Math.random)];
    assert.notDeepEqual(one, two);
    assert.equal(one.length, RATE);
    assert.ok(one.every((value) => Math.abs(value) <= 0.5));
    assert.ok(Math.abs(middle(one) - 0.5) < 0.15); // knocks fade
  });
});
