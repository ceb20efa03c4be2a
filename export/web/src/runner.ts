/**
 * Adapting and predicting, with stock onnxruntime, in a browser or in Node.
 *
 *     const runner = await Runner.load("bundle", { ort });
 *     const learner = await runner.adapt(supportX, supportY);
 *     const labels = await learner.predict(queryX);
 *
 * A runner never changes; a learner is a value: adapting further makes another one.
 */

import { bake } from "./bake.js";
import { type Bundle, loadBundle, type Source } from "./bundle.js";
import { EdgemetaError } from "./errors.js";
import { GpuMemory, staysOnGpu } from "./gpu.js";
import type { PreparedGraph } from "./graph.js";
import { checkHoldout, checkProgress, type Score } from "./guard.js";
import { platformSha256, type Sha256 } from "./hash.js";
import { checkLrScale, checkSteps, checkSupport, checkWays, type Samples } from "./inputs.js";
import { Learner } from "./learner.js";
import { ADAPT, type Manifest, mostWays, PREDICT, SELFTEST } from "./manifest.js";
import { type Held, hasWebGpu, type Ort, Session } from "./runtime.js";
import { type Beside, readState } from "./state.js";
import { float32, int64, type Tensor } from "./tensor.js";

/** How a bundle is loaded. */
export interface LoadOptions {
  /** onnxruntime: `import * as ort from "onnxruntime-web"`, or from "onnxruntime-node". */
  readonly ort: Ort;
  /**
   * Threads within one operator in Node and React Native, 0 for one per core, as by default. In a
   * browser, `ort.env.wasm.numThreads` says how many there are.
   */
  readonly threads?: number;
  /** Whether to use WebGPU where the browser has it (import "onnxruntime-web/webgpu"); else WASM. */
  readonly webgpu?: boolean;
  /**
   * The text of a PEM file with a public key: the bundle must be signed with the private key (`edgemeta
   * sign`). By default unsigned bundles are taken, too.
   */
  readonly key?: string;
  /** Computes hashes; by default the platform does, or JavaScript where it does not. */
  readonly sha256?: Sha256;
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
  /**
   * Samples and labels (or targets) as x and y, not among them, on which the adapted learner must be no
   * worse than the start: as many right labels, or no larger a loss. A start that does not know some
   * of the classes has their labels wrong.
   */
  readonly holdout?: readonly [Samples, Samples];
  /** Refuse an adaptation that diverged; default true. */
  readonly guard?: boolean;
}

type Open = (graph: PreparedGraph) => Promise<Session>;
type Support = ReturnType<typeof checkSupport>;

/** A loaded bundle. */
export class Runner {
  /** What the bundle says of itself. */
  readonly manifest: Manifest;
  /** sha256 of the manifest, which state files are bound to. */
  readonly fingerprint: string;
  /** Whether WebGPU computes. */
  readonly webgpu: boolean;
  readonly sha256: Sha256;
  /** The learner before any adaptation, which predicts where the bundle names its classes. */
  readonly init: Learner;
  readonly #read: Bundle["read"]; // of the rest, the sessions have copies
  readonly #predictAgain: Bundle["predictAgain"];
  readonly #adapt: Session;
  readonly #predict: Session;
  readonly #open: Open;
  readonly #gpu: GpuMemory | null;

  private constructor(
    bundle: Bundle,
    [adapt, predict]: readonly [Session, Session],
    open: Open,
    gpu: GpuMemory | null,
    sha256: Sha256,
  ) {
    this.manifest = bundle.manifest;
    this.fingerprint = bundle.fingerprint;
    this.webgpu = gpu !== null;
    this.sha256 = sha256;
    this.#read = bundle.read;
    this.#predictAgain = bundle.predictAgain;
    this.#adapt = adapt;
    this.#predict = predict;
    this.#open = open;
    this.#gpu = gpu;
    const ways = bundle.manifest.anyWays ? 1 : bundle.manifest.ways;
    this.init = this.#learner(bundle.init, ways);
  }

  /**
   * Load a bundle.
   *
   * @param source the URL of its directory (in Node also a path), or its files, or what reads them.
   * @throws EdgemetaError of kind "bundle": missing, damaged, of an unknown version, or not signed by
   *   `key`; of kind "input": threads or key cannot be used.
   */
  static async load(source: Source, options: LoadOptions): Promise<Runner> {
    const { ort, threads = 0, webgpu = false, key, sha256 = platformSha256 } = options;
    if (!Number.isInteger(threads) || threads < 0) {
      throw new EdgemetaError("input", "threads must be 0, for one per core, or more", {
        got: threads,
      });
    }
    const bundle = await loadBundle(source, sha256, key);
    const gpu = webgpu && (await hasWebGpu()) ? new GpuMemory() : null;
    const state = bundle.manifest.state.filter(({ dtype }) => staysOnGpu(dtype));
    const kept = state.map(({ name }) => `${name}.next`);
    // One after the other: onnxruntime-web starts its WebAssembly with the first.
    const adapt = await Session.open(ort, bundle.adapt, ADAPT, { threads, gpu, kept });
    const open = (graph: PreparedGraph) => {
      return Session.open(ort, graph, PREDICT, { threads, gpu, kept: [] });
    };
    return new Runner(bundle, [adapt, await open(bundle.predict)], open, gpu, sha256);
  }

  /**
   * Adapt to a support set.
   *
   * @param x S samples of the manifest's `input`, as the model was trained on them.
   * @param y S labels 0, 1, ... below the ways, or S regression targets. To a shared head, a label
   *   beyond the classes of `state` is a new class. Where the bundle names its classes, label k is
   *   `manifest.labels[k]`.
   * @returns a new learner; neither the runner nor `state` changes.
   * @throws EdgemetaError of kind "input": the support set or a number cannot be used; of kind
   *   "adaptation": the adaptation diverged, or made the holdout worse; `losses` says how.
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
    const found = await this.#run(state, support, checkSteps(steps), checkLrScale(lrScale), ways);
    const losses = lossesOf(found);
    const held = new Map<string, Held>();
    for (const { name } of this.manifest.state) held.set(name, found.get(`${name}.next`) as Held);
    const perClass = this.manifest.state.find((tensor) => tensor.per_class);
    const classes = perClass ? (held.get(perClass.name)?.dims[0] ?? null) : ways;
    const learner = new Learner(this, this.#predict, {
      ...{ held, losses, ways: classes, labels: state.labels },
    });
    try {
      if (guard && steps > 0) await checkDiverged(learner, support.y);
      if (options.holdout !== undefined) await this.#checkHoldout(state, learner, options.holdout);
    } catch (error) {
      await learner.release();
      throw error;
    }
    return learner;
  }

  /**
   * Read a learner that `Learner.save` wrote, or Python's.
   *
   * @throws EdgemetaError of kind "bundle": damaged, or of another bundle.
   */
  async loadState(content: Uint8Array): Promise<Learner> {
    return (await this.loadFile(content)).learner;
  }

  /** Read a state file with all that is beside the learner in it; throws as `loadState`. */
  async loadFile(content: Uint8Array): Promise<{ learner: Learner } & Required<Beside>> {
    const found = await readState(content, this.manifest, this.fingerprint, this.sha256);
    const { tensors, ways, labels, extra, notes } = found;
    return { learner: this.#learner(tensors, ways, labels), extra, notes };
  }

  /**
   * Read `selftest.safetensors`: a recorded episode with PyTorch's results, which `verify` replays. It
   * is read when it is asked for, and may be missing where nobody asks.
   *
   * @throws EdgemetaError of kind "bundle": missing, or damaged.
   */
  async selftest(): Promise<Uint8Array> {
    return this.#read(SELFTEST);
  }

  /** Open a session that predicts with inputs baked in; what `Learner.freeze` needs. */
  async frozenSession(values: ReadonlyMap<string, Tensor>): Promise<Session> {
    try {
      return await this.#open(bake(await this.#predictAgain(), values));
    } catch (error) {
      if (error instanceof EdgemetaError) throw error;
      throw new EdgemetaError("bundle", `${PREDICT} cannot be frozen`, { got: error });
    }
  }

  /**
   * Give the memory of both sessions and of all learners back, but for frozen ones, which have a
   * session of their own; nothing else can be computed afterwards.
   */
  async release(): Promise<void> {
    await this.#adapt.between(async () => this.#gpu?.freeAll());
    await this.#adapt.release();
    await this.#predict.release();
  }

  #learner(held: Learner["held"], ways: number | null, names: Learner["labels"] = null): Learner {
    const labels = names ?? this.manifest.labels;
    return new Learner(this, this.#predict, { held, losses: new Float32Array(), ways, labels });
  }

  /** Run the adapting graph on what was checked. */
  async #run(
    state: Learner,
    support: Support,
    steps: number,
    lrScale: number,
    ways: number | null,
  ): Promise<Map<string, Held>> {
    const feeds = new Map<string, Held>([
      ...state.held,
      ["support_x", support.x],
      ["support_y", support.y],
      ["steps", int64(steps)],
      ["lr_scale", float32(lrScale)],
    ]);
    if (this.manifest.task === "classification") feeds.set("ways", int64(ways ?? 1));
    return this.#adapt.run(feeds);
  }

  /** Refuse a learner that is worse on samples that it was not adapted to. */
  async #checkHoldout(before: Learner, after: Learner, holdout: readonly [Samples, Samples]) {
    const known = after.ways ?? mostWays(this.manifest);
    const samples = checkSupport(...holdout, this.manifest, known, "holdout");
    const scores = [await this.#score(before, samples), await this.#score(after, samples)] as const;
    checkHoldout(...scores, after.losses);
  }

  async #score(learner: Learner, samples: Support): Promise<Score> {
    // No steps hand back the loss of the start.
    if (learner.ways === null) {
      const found = await this.#run(learner, samples, 0, 1, null);
      return { loss: lossesOf(found)[0] ?? Number.NaN };
    }
    const labels = Array.from(samples.y.data, Number);
    const predicted = await learner.predict(samples.x.data);
    return { right: predicted.filter((label, k) => label === labels[k]).length, of: labels.length };
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

function lossesOf(found: ReadonlyMap<string, Held>): Float32Array {
  return (found.get("losses") as Tensor).data as Float32Array;
}

async function checkDiverged(learner: Learner, targets: Tensor): Promise<void> {
  const state = (await learner.state()).values();
  checkProgress(learner.losses, state, learner.ways === null ? targets : null);
}
