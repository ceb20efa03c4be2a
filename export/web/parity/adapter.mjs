/** What the adapters on onnxruntime's JavaScript packages answer, whichever of them they have. */

import { readFile, writeFile } from "node:fs/promises";
import { FewShotClassifier, readTensors, replay, Runner, writeTensors } from "../dist/lib/index.js";
import { classify } from "./classify.mjs";
import { answerLines } from "./lines.mjs";

/**
 * Answer the requests of tests/parity on standard input until it ends.
 *
 * @param {import("../dist/lib/index.js").Ort} ort the package.
 * @param {{ runtime: string, version: string }} facts what it calls itself.
 */
export async function adapter(ort, facts) {
  /** @type {Runner | null} */
  let runner = null;
  await answerLines({
    async load({ bundle }) {
      runner = await Runner.load(bundle, { ort });
      return facts;
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
    async classify({ bundle, episode, load, save, ...request }) {
      const bytes = async (/** @type {string} */ path) => new Uint8Array(await readFile(path));
      const own = await Runner.load(bundle, { ort });
      const { answer, classifier } = await classify(
        (options) => new FewShotClassifier(own, options),
        /** @type {import("./classify.mjs").Request} */ (request),
        readTensors(await bytes(episode)).tensors,
        load === null ? null : await bytes(load),
      );
      if (save !== null) await writeFile(save, await classifier.save());
      await own.release();
      return answer;
    },
  });
}
