/** What tests/web asks of the package in Node, by JSON lines: inputs and results are safetensors. */

import { readFile, writeFile } from "node:fs/promises";
import {
  FewShotClassifier,
  readTensors,
  readWav,
  resample,
  Runner,
  Spectrum,
  writeTensors,
} from "../dist/lib/index.js";
import { classify } from "../parity/classify.mjs";
import { answerLines } from "../parity/lines.mjs";

process.env["ORT_DISABLE_TELEMETRY"] = "1"; // before onnxruntime is loaded
const ort = await import("onnxruntime-node");

/** @type {Map<string, Runner>} */
const runners = new Map();

/** @param {string} bundle */
async function runnerOf(bundle) {
  const runner = runners.get(bundle) ?? (await Runner.load(bundle, { ort }));
  runners.set(bundle, runner);
  return runner;
}

/** @param {string} path */
async function bytes(path) {
  return new Uint8Array(await readFile(path));
}

/**
 * Write what a learner predicts of the queries in a file.
 *
 * @param {import("../dist/lib/index.js").Learner} learner
 * @param {string} queries
 * @param {string} result
 */
async function writePredictions(learner, queries, result) {
  const x = readTensors(await bytes(queries)).tensors.get("x");
  if (x === undefined) throw new Error("no x");
  const rows = await learner.predictLogits(x.data);
  const logits = Float32Array.from(rows.flatMap((row) => [...row]));
  const tensors = new Map([
    ["logits", { data: logits, dims: [rows.length, rows[0]?.length ?? 0], dtype: "float32" }],
    ["losses", { data: learner.losses, dims: [learner.losses.length], dtype: "float32" }],
  ]);
  await writeFile(result, writeTensors(/** @type {any} */ (tensors)));
  return { ways: learner.ways, predicted: await learner.predict(x.data) };
}

/** @param {string} path of a file with x and y @returns {Promise<[any, any]>} */
async function samplesOf(path) {
  const { tensors } = readTensors(await bytes(path));
  const [x, y] = [tensors.get("x"), tensors.get("y")];
  if (x === undefined || y === undefined) throw new Error("no x, or no y");
  return [x.data, y.data];
}

await answerLines({
  async adapt({ bundle, support, queries, state, holdout, freeze, labels, out, result, ...options }) {
    const runner = await runnerOf(bundle);
    let learner = await runner.adapt(...(await samplesOf(support)), {
      ...options,
      ...(state === undefined ? {} : { state: await runner.loadState(await bytes(state)) }),
      ...(holdout === undefined ? {} : { holdout: await samplesOf(holdout) }),
    });
    if (freeze) learner = await learner.freeze();
    if (out !== undefined) await writeFile(out, await learner.save(labels ?? null));
    const { init } = runner;
    return {
      ...(await writePredictions(learner, queries, result)),
      ...{ labels: learner.labels, init: { labels: init.labels, ways: init.ways } },
    };
  },
  async state({ bundle, state, queries, result }) {
    const runner = await runnerOf(bundle);
    const content = await bytes(state);
    const learner = await runner.loadState(content);
    const found = await writePredictions(learner, queries, result);
    return { ...found, labels: (await runner.loadState(content)).labels };
  },
  async signed({ bundle, key }) {
    const runner = await Runner.load(bundle, { ort, key: await readFile(key, "utf8") });
    return { fingerprint: runner.fingerprint };
  },
  async classify({ bundle, episode, load, save, ...request }) {
    const runner = await runnerOf(bundle);
    const { answer, classifier } = await classify(
      (options) => new FewShotClassifier(runner, options),
      /** @type {import("../parity/classify.mjs").Request} */ (request),
      readTensors(await bytes(episode)).tensors,
      load === null ? null : await bytes(load),
    );
    if (save !== null) await writeFile(save, await classifier.save());
    return answer;
  },
  // What a kept support set is for: learning more, and forgetting.
  async further({ bundle, file, support, names, forget, save }) {
    const classifier = new FewShotClassifier(await runnerOf(bundle), { keepSupport: true });
    await classifier.load(await bytes(file));
    const [x, y] = await samplesOf(support);
    await classifier.partialFit(x, Array.from(y, (k) => names[Number(k)]));
    await classifier.forget(forget);
    await writeFile(save, await classifier.save());
    return { classes: classifier.classes };
  },
  async features({ bundle, wav, result }) {
    const spectrum = Spectrum.of((await runnerOf(bundle)).manifest);
    if (spectrum === null) throw new Error("no features of sound");
    const { samples, rate } = readWav(await bytes(wav));
    const clip = resample(samples, rate, spectrum.record.sample_rate);
    const tensors = new Map([
      ["clip", { data: clip, dims: [clip.length], dtype: "float32" }],
      ["features", { data: spectrum.compute(clip), dims: spectrum.shape, dtype: "float32" }],
    ]);
    await writeFile(result, writeTensors(/** @type {any} */ (tensors)));
    return {};
  },
});
