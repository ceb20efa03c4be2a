/** An adapted state of a bundle: what predicts. */

import { EdgemetaError } from "./errors.js";
import { GpuTensor, released } from "./gpu.js";
import { checkSamples, type Samples } from "./inputs.js";
import { predictionName } from "./manifest.js";
import { argmax, softmax } from "./probabilities.js";
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
   * What the first classes, or all, are called, by class index, if the bundle names them, or the
   * learner came from a state file that says so or was adapted from such a one; else null.
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
  /** Whether `freeze` made it. */
  readonly frozen: boolean;
  readonly #predict: Session;
  #released = false;

  /**
   * Made by `Runner.adapt`, `Runner.loadState`, `Runner.init` and `freeze`, which gives a session of
   * its own.
   */
  constructor(
    runner: Runner,
    predict: Session,
    { held, losses, ways, labels }: Adapted,
    frozen = false,
  ) {
    this.runner = runner;
    this.frozen = frozen;
    this.#predict = predict;
    this.held = held;
    this.losses = losses;
    this.ways = ways;
    this.labels = labels?.slice(0, ways ?? undefined) ?? null;
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
    return rows.map(argmax);
  }

  /** Return the logits of each sample, (ways,); for regression its output, in C order. */
  async predictLogits(x: Samples): Promise<Float32Array[]> {
    const { manifest } = this.runner;
    const samples = checkSamples("query_x", x, manifest.input);
    if (this.frozen && this.#released) throw released();
    const given = this.frozen ? [] : this.#given(this.held);
    const feeds = new Map<string, Held>([...given, ["query_x", samples]]);
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
    return (await this.predictLogits(x)).map((row) => Float32Array.from(softmax(row)));
  }

  /**
   * Return a learner that predicts faster, with the state as constants in a graph of its own.
   *
   * That takes as long as loading a bundle, of which two files are read again, and keeps a second copy
   * of the predicting graph in memory, until `release`: it pays if you predict often with one state.
   * Predictions differ by rounding. A frozen learner can be saved, and adapted further, which makes one
   * that is not frozen.
   *
   * @throws EdgemetaError of kind "input": the learner was released; of kind "bundle": the bundle is
   *   not there any more.
   */
  async freeze(): Promise<Learner> {
    if (this.frozen) return this;
    const held = await this.state();
    const { losses, ways, labels, runner } = this;
    const session = await runner.frozenSession(new Map(this.#given(held)));
    return new Learner(runner, session, { held, losses, ways, labels }, true);
  }

  /** Return a learner of the same bundle with another state; what `FewShotClassifier` needs. */
  withState(held: ReadonlyMap<string, Held>, ways: number | null): Learner {
    const { losses, labels } = this;
    return new Learner(this.runner, this.#predict, { held, losses, ways, labels });
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
   * Give back what the state takes on the graphics card, and the session of a frozen learner; others
   * have nothing to give back. Where the browser can, the card is also freed some time after the last
   * use of a learner.
   */
  async release(): Promise<void> {
    if (this.frozen) {
      const again = this.#released;
      this.#released = true;
      return again ? undefined : this.#predict.release();
    }
    await this.#predict.between(async () => {
      for (const held of this.held.values()) if (held instanceof GpuTensor) held.free();
    });
  }

  /** Return all inputs of the predicting graph but the samples, with such a state. */
  #given<T extends Held>(held: ReadonlyMap<string, T>): [string, T | Tensor][] {
    const isFixed = !this.runner.manifest.anyWays && this.ways !== null;
    return isFixed ? [...held, ["ways", int64(this.ways ?? 0)]] : [...held];
  }
}
