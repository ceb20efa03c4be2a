// The JavaScript package on onnxruntime-web's WebAssembly build, with one thread, in Node. Speaks the
// protocol of docs/parity_notes.md.
//
// node wasm_peer.mjs FOLDER, where FOLDER is export/web, built
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";

const folder = process.argv[2];
const { answerLines } = await import(`${folder}/parity/lines.mjs`);
const { readTensors, replay, Runner, writeTensors } = await import(`${folder}/dist/lib/index.js`);
const ort = createRequire(`${folder}/`)("onnxruntime-web");
ort.env.wasm.numThreads = 1;

let runner;
await answerLines({
  async load({ bundle }) {
    runner = await Runner.load(bundle, { ort });
    return { runtime: "onnxruntime-web", version: ort.env.versions.web };
  },
  async replay({ episode, out, repeats }) {
    const { tensors } = readTensors(new Uint8Array(await readFile(episode)));
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
