/** onnxruntime, as far as a runner uses it: its packages for browsers, Node and React Native fit. */

import type * as common from "onnxruntime-common";
import { EdgemetaError } from "./errors.js";
import { GpuMemory, GpuTensor } from "./gpu.js";
import type { PreparedGraph } from "./graph.js";
import { fromBytes, isDtype, type Tensor, toBytes, type TypedArray } from "./tensor.js";

/** What `import * as ort from "onnxruntime-web"`, or of "onnxruntime-node", gives. */
export type Ort = Pick<typeof common, "InferenceSession" | "Tensor" | "env">;

/** A tensor in memory, or on the graphics card. */
export type Held = Tensor | GpuTensor;

export interface SessionChoices {
  /** Threads of one operator, 0 for one per core; onnxruntime-web has `ort.env.wasm.numThreads`. */
  readonly threads: number;
  /** Where WebGPU keeps what stays on the card; null for the processor. */
  readonly gpu: GpuMemory | null;
  /** Outputs to leave on the card. */
  readonly kept: readonly string[];
}

/** Does one thing after the other. */
class Queue {
  #last: Promise<unknown> = Promise.resolve();

  async run<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

// WebGPU takes one call at a time, of all sessions.
const gpuQueue = new Queue();

// What is in use is in reach: no tensor of it is freed meanwhile.
const inUse = new Set<object>();

/** An onnxruntime session that is asked by name and runs one call after the other. */
export class Session {
  readonly #ort: Ort;
  readonly #session: common.InferenceSession;
  readonly #gpu: GpuMemory | null;
  readonly #queue: Queue;
  #failed = false;

  private constructor(ort: Ort, session: common.InferenceSession, gpu: GpuMemory | null) {
    this.#ort = ort;
    this.#session = session;
    this.#gpu = gpu;
    this.#queue = gpu === null ? new Queue() : gpuQueue;
  }

  /**
   * Make a session of a graph.
   *
   * @param where how errors call the graph.
   * @throws EdgemetaError of kind "bundle": onnxruntime cannot load it.
   */
  static async open(
    ort: Ort,
    graph: PreparedGraph,
    where: string,
    { threads, gpu, kept }: SessionChoices,
  ): Promise<Session> {
    const options: common.InferenceSession.SessionOptions = {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      enableMemPattern: false, // plans memory for each new shape anew, for no gain in speed
      logSeverityLevel: 3,
      // Threads that wait for work sleep, and leave the processor to others; as Python's runner.
      extra: { session: { intra_op: { allow_spinning: "0" } } },
    };
    if (gpu !== null) {
      options.executionProviders = ["webgpu", "wasm"];
      // What a proxy computes comes back from another thread, where nothing of the card can be.
      const there = isProxied(ort) ? [] : kept.map((name) => [name, "gpu-buffer"] as const);
      if (there.length > 0) options.preferredOutputLocation = Object.fromEntries(there);
    }
    try {
      return new Session(ort, await ort.InferenceSession.create(graph.content, options), gpu);
    } catch (error) {
      throw new EdgemetaError("bundle", `${where} cannot be loaded`, {
        got: error,
        hint: "does this onnxruntime know the bundle's opset?",
      });
    }
  }

  /**
   * Run the graph.
   *
   * @param feeds every input.
   * @returns every output.
   * @throws EdgemetaError of kind "runtime": onnxruntime failed; of kind "input": an input is of a
   *   learner that was released.
   */
  async run(feeds: ReadonlyMap<string, Held>): Promise<Map<string, Held>> {
    return this.#queue.run(() => this.#run(feeds));
  }

  /** Do something while no call runs: download from the card, or free what is there. */
  async between<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work);
  }

  async release(): Promise<void> {
    await this.#queue.run(() => this.#session.release());
  }

  async #run(feeds: ReadonlyMap<string, Held>): Promise<Map<string, Held>> {
    // onnxruntime-web binds inputs before a call that leaves outputs on the card. If that call fails,
    // they stay bound, and the next call would compute with them without a word.
    if (this.#failed) {
      throw new EdgemetaError("runtime", "onnxruntime failed before", {
        hint: "load the bundle again",
      });
    }
    inUse.add(feeds);
    try {
      const inputs = [...feeds].map(([name, held]) => [name, this.#asInput(held)] as const);
      const found = new Map<string, Held>();
      const outputs = await this.#session.run(Object.fromEntries(inputs));
      for (const [name, value] of Object.entries(outputs)) found.set(name, this.#asOutput(name, value));
      return found;
    } catch (error) {
      if (error instanceof EdgemetaError) throw error;
      this.#failed = this.#gpu !== null;
      const hint = this.#gpu && "WebGPU cannot run every graph: load without it";
      throw new EdgemetaError("runtime", "onnxruntime failed", { got: error, hint: hint ?? undefined });
    } finally {
      inUse.delete(feeds);
    }
  }

  #asInput(held: Held): common.Tensor {
    if (held instanceof GpuTensor) return held.asInput(this.#ort.Tensor);
    const { dims, dtype } = held;
    // onnxruntime-web's proxy sends arrays to its worker for good: here they would be empty then.
    // onnxruntime-react-native reads a view from the beginning of its buffer: from wrong numbers.
    const isCopied = isProxied(this.#ort) || held.data.byteOffset > 0;
    const { data } = isCopied ? fromBytes(toBytes(held), dims, dtype) : held;
    return new this.#ort.Tensor(dtype, data as never, dims);
  }

  #asOutput(name: string, value: common.Tensor): Held {
    if (value.location === "gpu-buffer" && this.#gpu !== null) return this.#gpu.hold(value);
    if (!isDtype(value.type)) throw new Error(`${name} is of type ${value.type}`);
    return { data: value.data as TypedArray, dims: value.dims, dtype: value.type };
  }
}

/** Whether onnxruntime-web computes in a worker. */
function isProxied(ort: Ort): boolean {
  return ort.env.wasm?.proxy === true;
}

/** Whether this browser has a graphics card that WebGPU can use; false in Node. */
export async function hasWebGpu(): Promise<boolean> {
  const gpu = (globalThis.navigator as { gpu?: { requestAdapter(): Promise<unknown> } } | undefined)
    ?.gpu;
  return gpu !== undefined && (await gpu.requestAdapter()) !== null;
}
