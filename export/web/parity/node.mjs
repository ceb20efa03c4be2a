/** The adapter of tests/parity for onnxruntime-node; see `lines.mjs`. */

import { readFile, writeFile } from "node:fs/promises";
import { readTensors, replay, Runner, writeTensors } from "../dist/lib/index.js";
import { answerLines } from "./lines.mjs";

process.env["ORT_DISABLE_TELEMETRY"] = "1"; // before onnxruntime is loaded
const ort = await import("onnxruntime-node");

/** @type {Runner | null} */
let runner = null;

await answerLines({
  async load({ bundle }) {
    runner = await Runner.load(bundle, { ort });
    return { runtime: "onnxruntime-node", version: ort.env.versions.node };
  },
  async replay({ episode, out, repeats }) {
    if (runner === null) throw new Error("no bundle is loaded");
    const { tensors } = readTensors(new Uint8Array(await readFile(episode)));
    /** @type {{ adapt: number[], predict: number[] }} */
    const ms = { adapt: [], predict: [] };
    for (let k = 0; k < repeats; k++) {
      const found = await replay(runner, tensors);
      ms.adapt.push(found.ms.adapt);
      ms.predict.push(found.ms.predict);
      if (k === 0) await writeFile(out, writeTensors(found.computed));
    }
    return { ms };
  },
});
