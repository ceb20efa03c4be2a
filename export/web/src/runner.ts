/**
 * Adapting and predicting, with stock onnxruntime, in a browser or in Node.
 *
 *     const runner = await Runner.load("bundle", { ort });
 *     const learner = await runner.adapt(supportX, supportY);
 *     const labels = await learner.predict(queryX);
 *
 * A runner never changes; a learner is a value: adapting further makes another one.
 */

import { type Bundle, loadBundle, type Source } from "./bundle.js";
import { EdgemetaError } from "./errors.js";
import { checkProgress } from "./guard.js";
import {
  checkLrScale,
  checkSamples,
  checkSteps,
  checkSupport,
  checkWays,
  type Samples,
} from "./inputs.js";
import { ADAPT, type Manifest, mostWays, PREDICT, predictionName } from "./manifest.js";
import { hasWebGpu, type Ort, Session } from "./runtime.js";
import { type Label, readState, writeState } from "./state.js";
import type { Tensor } from "./tensor.js";

/** How a bundle is loaded. */
export interface LoadOptions {
  /** onnxruntime: `import * as ort from "onnxruntime-web"`, or from "onnxruntime-node". */
  readonly ort: Ort;
  /** Threads of onnxruntime-node within one operator; default 1, which suits small networks. */
  readonly threads?: number;
  /** Whether to use WebGPU where the browser has it (import "onnxruntime-web/webgpu"); else WASM. */
  readonly webgpu?: boolean;
}

/** How to adapt. */
export interface AdaptOptions {
  /** Inner steps; by default the bundle's own number. 0 returns the start unchanged. */
  readonly steps?: number;
  /** Multiplies the inner learning rate; default 1. */
  readonly lrScale?: number;
  /** A learner to continue from; by default the init. */
  readonly state?: Learner;
  /**
   * How many classes the task has, at most as many as the head. By default those of `state`, or all
   * of the head's; a shared head takes any number, by default as many as `state` and labels have.
   */
  readonly ways?: number;
  /** Refuse an adaptation that diverged; default true. */
  readonly guard?: boolean;
}

/** A loaded bundle. */
export class Runner {
  /** What the bundle says of itself. */
  readonly manifest: Manifest;
  /** sha256 of the manifest, which state files are bound to. */
  readonly fingerprint: string;
  /** Content of `selftest.safetensors`: a recorded episode with PyTorch's results. */
  readonly selftest: Uint8Array;
  /** Whether WebGPU computes. */
  readonly webgpu: boolean;
  /** The learner before any adaptation. */
  readonly init: Learner;
  readonly #adapt: Session;
  readonly #predict: Session;

  private constructor(bundle: Bundle, adapt: Session, predict: Session, webgpu: boolean) {
    this.manifest = bundle.manifest;
    this.fingerprint = bundle.fingerprint;
    this.selftest = bundle.selftest;
    this.webgpu = webgpu;
    this.#adapt = adapt;
    this.#predict = predict;
    const ways = bundle.manifest.anyWays ? 1 : bundle.manifest.ways;
    this.init = new Learner(this, predict, bundle.init, new Float32Array(), ways);
  }

  /**
   * Load a bundle.
   *
   * @param source the URL of its directory (in Node also a path), or its files.
   * @throws EdgemetaError of kind "bundle": missing, damaged, or of an unknown version.
   */
  static async load(source: Source, options: LoadOptions): Promise<Runner> {
    const { ort, threads = 1, webgpu = false } = options;
    if (!Number.isInteger(threads) || threads < 1) {
      throw new EdgemetaError("input", "threads must be a positive integer", { got: threads });
    }
    const bundle = await loadBundle(source);
    const choices = { threads, webgpu: webgpu && (await hasWebGpu()) };
    // One after the other: onnxruntime-web starts its WebAssembly with the first.
    const adapt = await Session.open(ort, bundle.adapt, ADAPT, choices);
    const predict = await Session.open(ort, bundle.predict, PREDICT, choices);
    return new Runner(bundle, adapt, predict, choices.webgpu);
  }

  /**
   * Adapt to a support set.
   *
   * @param x S samples of the manifest's `input`, as the model was trained on them.
   * @param y S labels 0, 1, ... below the ways, or S regression targets. To a shared head, a label
   *   beyond the classes of `state` is a new class.
   * @returns a new learner; neither the runner nor `state` changes.
   * @throws EdgemetaError of kind "input": the support set or a number cannot be used; of kind
   *   "adaptation": the adaptation diverged, `losses` says how.
   */
  async adapt(x: Samples, y: Samples, options: AdaptOptions = {}): Promise<Learner> {
    const { steps = this.manifest.inner_steps, lrScale = 1, guard = true } = options;
    const state = options.state ?? this.init;
    if (state.runner.fingerprint !== this.fingerprint) {
      throw new EdgemetaError("input", "state is a learner of another bundle", {
        hint: "adapt this bundle to the support set again",
      });
    }
    const ways = this.#ways(options.ways, options.state);
    const support = checkSupport(x, y, this.manifest, ways ?? mostWays(this.manifest));
    const feeds = new Map<string, Tensor>([
      ...state.tensors,
      ["support_x", support.x],
      ["support_y", support.y],
      ["steps", int64(checkSteps(steps))],
      ["lr_scale", float32(checkLrScale(lrScale))],
    ]);
    if (this.manifest.task === "classification") feeds.set("ways", int64(ways ?? 1));
    const found = await this.#adapt.run(feeds);
    const losses = (found.get("losses")?.data ?? new Float32Array()) as Float32Array;
    const tensors = new Map<string, Tensor>();
    for (const { name } of this.manifest.state) {
      const tensor = found.get(`${name}.next`);
      if (tensor !== undefined) tensors.set(name, tensor);
    }
    if (guard && steps > 0) {
      checkProgress(losses, tensors.values(), this.manifest.task === "regression" ? support.y : null);
    }
    const perClass = this.manifest.state.find((tensor) => tensor.per_class);
    const classes = perClass ? (tensors.get(perClass.name)?.dims[0] ?? null) : ways;
    return new Learner(this, this.#predict, tensors, losses, classes, state.labels);
  }

  /**
   * Read a learner that `Learner.save` wrote, or Python's.
   *
   * @throws EdgemetaError of kind "bundle": damaged, or of another bundle.
   */
  async loadState(content: Uint8Array): Promise<Learner> {
    const found = await readState(content, this.manifest, this.fingerprint);
    const none = new Float32Array();
    return new Learner(this, this.#predict, found.tensors, none, found.ways, found.labels);
  }

  /** Give the memory of both sessions back; nothing can be computed afterwards. */
  async release(): Promise<void> {
    await this.#adapt.release();
    await this.#predict.release();
  }

  /** Return how many classes a task has; null for regression, or to leave it to the labels. */
  #ways(ways: number | undefined, state: Learner | undefined): number | null {
    if (this.manifest.anyWays) {
      return ways === undefined ? null : checkWays(ways, this.manifest, Math.max(state?.ways ?? 2, 2));
    }
    if (ways !== undefined) return checkWays(ways, this.manifest);
    return state === undefined ? this.manifest.ways : state.ways;
  }
}

/** One adapted state of a bundle: what predicts. */
export class Learner {
  /** (steps + 1,) the support loss before each step and after the last; empty where loaded. */
  readonly losses: Float32Array;
  /** How many classes the task has; null for regression. The init of a shared head has one. */
  readonly ways: number | null;
  /**
   * What the first classes, or all, are called, by class index, if the learner came from a state
   * file that says so, or was adapted from such a one; else null.
   */
  readonly labels: readonly Label[] | null;
  /** Every tensor of the state, by torch name. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly runner: Runner;
  readonly #predict: Session;

  /** Made by `Runner.adapt`, `Runner.loadState` and `Runner.init`. */
  constructor(
    runner: Runner,
    predict: Session,
    tensors: ReadonlyMap<string, Tensor>,
    losses: Float32Array,
    ways: number | null,
    labels: readonly Label[] | null = null,
  ) {
    this.runner = runner;
    this.#predict = predict;
    this.tensors = tensors;
    this.losses = losses;
    this.ways = ways;
    this.labels = labels;
  }

  /**
   * Predict.
   *
   * @param x Q samples of the manifest's `input`.
   * @returns (Q,) labels; for regression the Q outputs, one after another.
   * @throws EdgemetaError of kind "input": the samples cannot be used.
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
    const feeds = new Map<string, Tensor>([...this.tensors, ["query_x", samples]]);
    if (!manifest.anyWays && this.ways !== null) feeds.set("ways", int64(this.ways));
    const output = (await this.#predict.run(feeds)).get(predictionName(manifest));
    const data = (output?.data ?? new Float32Array()) as Float32Array;
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
   */
  async save(labels: readonly Label[] | null = this.labels): Promise<Uint8Array> {
    const { tensors, ways } = this;
    return writeState({ tensors: new Map(tensors), ways, labels }, this.runner.fingerprint);
  }
}

function int64(value: number): Tensor {
  return { data: BigInt64Array.of(BigInt(value)), dims: [], dtype: "int64" };
}

function float32(value: number): Tensor {
  return { data: Float32Array.of(value), dims: [], dtype: "float32" };
}
