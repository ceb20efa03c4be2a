/** An adapted state of a bundle: what predicts. */

import { EdgemetaError } from "./errors.js";
import { GpuTensor } from "./gpu.js";
import { checkSamples, type Samples } from "./inputs.js";
import { predictionName } from "./manifest.js";
import type { Runner } from "./runner.js";
import type { Held, Session } from "./runtime.js";
import { type Beside, type Label, writeState } from "./state.js";
import { int64, type Tensor } from "./tensor.js";

/** What a learner consists of. */
export interface Adapted {
  /** Every tensor of the state, by torch name, where it was computed. */
  readonly held: ReadonlyMap<string, Held>;
  /** (steps + 1,) the support loss before each step and after the last; empty where loaded. */
  readonly losses: Float32Array;
  /** How many classes the task has; null for regression. The init of a shared head has one. */
  readonly ways: number | null;
  /**
   * What the first classes, or all, are called, by class index, if the learner came from a state
   * file that says so, or was adapted from such a one; else null.
   */
  readonly labels: readonly Label[] | null;
}

/** One adapted state of a bundle; a value: adapting further makes another one. */
export class Learner implements Adapted {
  readonly held: ReadonlyMap<string, Held>;
  /** (steps + 1,) the support loss before each step and after the last; empty where loaded. */
  readonly losses: Float32Array;
  /** How many classes the task has; null for regression. The init of a shared head has one. */
  readonly ways: number | null;
  /** What the classes are called, by class index; null without names. */
  readonly labels: readonly Label[] | null;
  readonly runner: Runner;
  readonly #predict: Session;

  /** Made by `Runner.adapt`, `Runner.loadState` and `Runner.init`. */
  constructor(runner: Runner, predict: Session, { held, losses, ways, labels }: Adapted) {
    this.runner = runner;
    this.#predict = predict;
    this.held = held;
    this.losses = losses;
    this.ways = ways;
    this.labels = labels;
  }

  /**
   * Return every tensor of the state, by torch name; with WebGPU, from the graphics card.
   *
   * @throws EdgemetaError of kind "input": the learner was released.
   */
  async state(): Promise<ReadonlyMap<string, Tensor>> {
    const all = [...this.held];
    if (!all.some(([, held]) => held instanceof GpuTensor)) return this.held as Map<string, Tensor>;
    return this.#predict.between(async () => {
      const found = all.map(async ([name, held]): Promise<[string, Tensor]> => {
        return [name, held instanceof GpuTensor ? await held.download() : held];
      });
      return new Map(await Promise.all(found));
    });
  }

  /**
   * Predict.
   *
   * @param x Q samples of the manifest's `input`.
   * @returns (Q,) labels; for regression the Q outputs, one after another.
   * @throws EdgemetaError of kind "input": the samples cannot be used, or the learner was released.
   */
  async predict(x: Samples): Promise<number[]> {
    const rows = await this.predictLogits(x);
    if (this.ways === null) return rows.flatMap((row) => [...row]);
    return rows.map((row) => row.reduce((best, value, k) => (value > (row[best] ?? 0) ? k : best), 0));
  }

  /** Return the logits of each sample, (ways,); for regression its output, in C order. */
  async predictLogits(x: Samples): Promise<Float32Array[]> {
    const { manifest } = this.runner;
    const samples = checkSamples("query_x", x, manifest.input);
    const feeds = new Map<string, Held>([...this.held, ["query_x", samples]]);
    if (!manifest.anyWays && this.ways !== null) feeds.set("ways", int64(this.ways));
    const output = (await this.#predict.run(feeds)).get(predictionName(manifest)) as Tensor;
    const data = output.data as Float32Array;
    const count = samples.dims[0] ?? 1;
    const width = data.length / count; // of a fixed head, that of all its classes
    return Array.from({ length: count }, (_, k) =>
      data.slice(k * width, k * width + (this.ways ?? width)),
    );
  }

  /**
   * Return the probabilities of each sample, (ways,): the softmax of the logits, not calibrated.
   *
   * @throws EdgemetaError of kind "input": as `predict`, or the task is regression.
   */
  async predictProba(x: Samples): Promise<Float32Array[]> {
    if (this.ways === null) {
      throw new EdgemetaError("input", "predictProba is for classification", { hint: "use predict" });
    }
    return (await this.predictLogits(x)).map((row) => {
      const most = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const exp = row.map((value) => Math.exp(value - most));
      const sum = exp.reduce((a, b) => a + b, 0);
      return exp.map((value) => value / sum);
    });
  }

  /**
   * Return the content of a state file, which `Runner.loadState` and Python's `Runner.load` read.
   *
   * @param labels what the classes are called, by class index; by default `labels`.
   * @param beside what `Runner.loadFile` gives back beside the learner.
   * @throws EdgemetaError of kind "input": the labels could not be read back.
   */
  async save(
    labels: readonly Label[] | null = this.labels,
    { extra = new Map(), notes = null }: Beside = {},
  ): Promise<Uint8Array> {
    const { runner, ways } = this;
    const tensors = new Map(await this.state());
    const file = { tensors, ways, labels, extra, notes };
    return writeState(file, runner.fingerprint, runner.sha256);
  }

  /**
   * Give back what the state takes on the graphics card; elsewhere it does nothing. Where the browser
   * can, it also happens some time after the last use of a learner.
   */
  async release(): Promise<void> {
    await this.#predict.between(async () => {
      for (const held of this.held.values()) if (held instanceof GpuTensor) held.free();
    });
  }
}
