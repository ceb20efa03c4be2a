/**
 * What the Chromium adapter calls in its page. The address says how onnxruntime-web computes: with
 * "#webgpu", in a "#proxy", which is a worker, with both, or with neither.
 */

import {
  FewShotClassifier,
  readTensors,
  replay,
  Runner,
  verify,
  writeTensors,
} from "../src/index.js";
import { classify, type Request } from "./classify.mjs";

const webgpu = location.hash.includes("webgpu");
const ort = await (webgpu ? import("onnxruntime-web/webgpu") : import("onnxruntime-web/wasm"));
ort.env.wasm.numThreads = 1;
ort.env.wasm.proxy = location.hash.includes("proxy");

let runner: Runner | null = null;

async function load(url: string): Promise<string> {
  await runner?.release();
  runner = await Runner.load(url, { ort, webgpu });
  if (runner.webgpu !== webgpu) throw new Error("this browser has no WebGPU");
  return ort.env.versions.web ?? "";
}

/** Replay the episode at a URL; the tensors come back as the bytes of a safetensors file. */
async function replayAt(url: string, repeats: number) {
  if (runner === null) throw new Error("no bundle is loaded");
  const { tensors } = readTensors(new Uint8Array(await (await fetch(url)).arrayBuffer()));
  const ms = { adapt: [] as number[], predict: [] as number[] };
  let content: number[] = [];
  for (let k = 0; k < repeats; k++) {
    const found = await replay(runner, tensors);
    ms.adapt.push(found.ms.adapt);
    ms.predict.push(found.ms.predict);
    if (k === 0) content = Array.from(writeTensors(found.computed));
  }
  return { ms, content };
}

/** Classify the episode at a URL; what is saved comes back as bytes. */
async function classifyAt(request: Request, url: string, file: string | null, save: boolean) {
  const own = runner;
  if (own === null) throw new Error("no bundle is loaded");
  const bytes = async (where: string) => new Uint8Array(await (await fetch(where)).arrayBuffer());
  const { answer, classifier } = await classify(
    (options) => new FewShotClassifier(own, options),
    request,
    readTensors(await bytes(url)).tensors,
    file === null ? null : await bytes(file),
  );
  return { answer, saved: save ? Array.from(await classifier.save()) : null };
}

async function verifyLoaded() {
  if (runner === null) throw new Error("no bundle is loaded");
  return verify(runner);
}

/** Use the same arrays and the same learners again and again; say how far what comes out differs. */
async function reuse() {
  if (runner === null) throw new Error("no bundle is loaded");
  const { tensors } = readTensors(await runner.selftest());
  const of = (name: string) => tensors.get(name)?.data ?? new Uint8Array();
  const [x, y, queries] = [of("support_x"), of("support_y"), of("query_x")];
  const one = await runner.adapt(x, y, { guard: false });
  const onGpu = [...one.held.values()].filter((held) => !("data" in held)).length;
  const logits = await one.predictLogits(queries);
  const two = await runner.adapt(x, y, { state: one });
  const again = await one.predictLogits(queries);
  const loaded = await runner.loadState(await two.save());
  const [kept, read] = [await two.predictLogits(queries), await loaded.predictLogits(queries)];
  await Promise.all([one.predict(queries), runner.adapt(x, y), two.predict(queries)]);
  await one.release();
  const released = await one.predict(queries).then(() => "", String);
  return { onGpu, released, apart: [apart(logits, again), apart(kept, read)], left: x.length };
}

function apart(one: readonly Float32Array[], two: readonly Float32Array[]): number {
  const each = one.map((row, k) => row.map((value, n) => Math.abs(value - (two[k]?.[n] ?? NaN))));
  return Math.max(...each.flatMap((row) => [...row]));
}

export const harness = {
  load,
  replay: replayAt,
  classify: classifyAt,
  verify: verifyLoaded,
  reuse,
};
export type Page = typeof globalThis & { harness: typeof harness };
Object.assign(globalThis, { harness });
