import assert from "node:assert/strict";
import test from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Runner, verify } from "../dist/lib/index.js";
import { OMNIGLOT, recorded, refused, runner } from "./bundle.mjs";
import { onCard, proxied } from "./stand-ins.mjs";

const X = /** @type {Uint8Array} */ (recorded("support_x").data);
const Y = Array.from(recorded("support_y").data, Number);
const QUERY = /** @type {Uint8Array} */ (recorded("query_x").data);
const STATE = 2; // tensors: head.weight and head.bias

// Where there is a graphics card; tests of a file run one after the other, in a process of its own.
Object.defineProperty(globalThis, "navigator", { value: { gpu: { requestAdapter: async () => ({}) } } });

test("a proxy that keeps what it is sent takes nothing from a caller or a learner", async () => {
  const other = await Runner.load(OMNIGLOT, { ort: proxied() });
  const one = await other.adapt(X, Y);
  const two = await other.adapt(X, Y, { state: one });
  const logits = await (await runner.adapt(X, Y)).predictLogits(QUERY);
  assert.deepEqual(await one.predictLogits(QUERY), logits);
  assert.deepEqual(await one.predictLogits(QUERY), logits);
  assert.deepEqual(await (await other.loadState(await two.save())).predict(QUERY), await two.predict(QUERY));
  assert.equal(X.length, Y.length * 28 * 28);
});

test("the state stays on the card between calls", async () => {
  const { ort, card } = onCard();
  const other = await Runner.load(OMNIGLOT, { ort, webgpu: true });
  assert.ok(other.webgpu);
  assert.deepEqual(card.options.map((each) => each.preferredOutputLocation), [
    { "head.weight.next": "gpu-buffer", "head.bias.next": "gpu-buffer" },
    undefined,
  ]);
  const one = await other.adapt(X, Y, { guard: false });
  assert.deepEqual([card.buffers.size, card.downloads], [STATE, 0]);
  const uploads = card.uploads;
  const logits = await one.predictLogits(QUERY);
  assert.equal(card.uploads, uploads + 1); // the queries
  assert.deepEqual(logits, await (await runner.adapt(X, Y)).predictLogits(QUERY));
  const two = await other.adapt(X, Y, { state: one });
  assert.equal(card.downloads, STATE); // the guard looks at it
  const saved = await two.save();
  await two.state();
  assert.equal(card.downloads, STATE);
  assert.deepEqual(await (await other.loadState(saved)).predict(QUERY), await two.predict(QUERY));
  assert.deepEqual(await verify(other), await verify(runner));
});

test("a learner that is released frees its memory, and says so", async () => {
  const { ort, card } = onCard();
  const other = await Runner.load(OMNIGLOT, { ort, webgpu: true });
  const [one, two] = [await other.adapt(X, Y, { guard: false }), await other.adapt(X, Y)];
  const running = one.predict(QUERY);
  await Promise.all([one.release(), two.release(), one.release()]);
  assert.equal((await running).length, QUERY.length / 784); // it was before
  assert.equal(card.buffers.size, 0);
  for (const doing of [() => one.predict(QUERY), () => one.save(), () => other.adapt(X, Y, { state: one })]) {
    await refused(doing(), "input", /the learner was released, .*; save it, or adapt again/);
  }
  await two.save(); // its numbers were downloaded
  await other.init.release();
  assert.equal((await other.init.predict(QUERY)).length, QUERY.length / 784);
});

test("an adaptation that is refused leaves nothing on the card, and a released runner neither", async () => {
  const { ort, card } = onCard();
  const other = await Runner.load(OMNIGLOT, { ort, webgpu: true });
  const one = X.slice(0, 784);
  await refused(other.adapt([one, one, one], [0, 0, 1], { steps: 5, lrScale: 1000 }), "adaptation", /diverged/);
  assert.equal(card.buffers.size, 0);
  await other.adapt(X, Y);
  await other.release();
  assert.equal(card.buffers.size, 0);
});

test("what nobody can reach any more is freed", async () => {
  const { ort, card } = onCard();
  const other = await Runner.load(OMNIGLOT, { ort, webgpu: true });
  for (let k = 0; k < 5; k++) await other.adapt(X, Y);
  assert.equal(card.buffers.size, 5 * STATE);
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc");
  for (let k = 0; k < 100 && card.buffers.size > STATE; k++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok(card.buffers.size <= STATE, `${card.buffers.size}`); // a frame may still hold the last one
});

test("after a call that failed on the card nothing is computed with its inputs", async () => {
  const { ort, card } = onCard();
  const other = await Runner.load(OMNIGLOT, { ort, webgpu: true });
  const one = await other.adapt(X, Y);
  card.failure = new Error("device lost");
  await refused(other.adapt(X, Y), "runtime", /onnxruntime failed: got device lost; WebGPU cannot run every graph/);
  card.failure = null;
  await refused(other.adapt(X, Y), "runtime", /onnxruntime failed before; load the bundle again/);
  await one.predict(QUERY); // another session
});
