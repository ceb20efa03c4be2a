/** What the Chromium adapter calls in its page, whose address says whether WebGPU is to compute. */

import { readTensors, replay, Runner, verify, writeTensors } from "../src/index.js";

const webgpu = location.hash === "#webgpu";
const ort = await (webgpu ? import("onnxruntime-web/webgpu") : import("onnxruntime-web/wasm"));
ort.env.wasm.numThreads = 1;

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

async function verifyLoaded() {
  if (runner === null) throw new Error("no bundle is loaded");
  return verify(runner);
}

export const harness = { load, replay: replayAt, verify: verifyLoaded };
export type Page = typeof globalThis & { harness: typeof harness };
Object.assign(globalThis, { harness });
