/** onnxruntime, as far as a runner uses it: `onnxruntime-web` and `onnxruntime-node` both fit. */

import type * as common from "onnxruntime-common";
import { EdgemetaError } from "./errors.js";
import type { PreparedGraph } from "./graph.js";
import { isDtype, type Tensor, type TypedArray } from "./tensor.js";

/** What `import * as ort from "onnxruntime-web"`, or of "onnxruntime-node", gives. */
export type Ort = Pick<typeof common, "InferenceSession" | "Tensor" | "env">;

export interface SessionChoices {
  /** Threads of onnxruntime-node; onnxruntime-web takes them from `ort.env.wasm.numThreads`. */
  readonly threads: number;
  /** Whether to use WebGPU. */
  readonly webgpu: boolean;
}

/** An onnxruntime session that is asked by name and runs one call after the other. */
export class Session {
  readonly #ort: Ort;
  readonly #session: common.InferenceSession;
  readonly #webgpu: boolean;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(ort: Ort, session: common.InferenceSession, webgpu: boolean) {
    this.#ort = ort;
    this.#session = session;
    this.#webgpu = webgpu;
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
    { threads, webgpu }: SessionChoices,
  ): Promise<Session> {
    const options: common.InferenceSession.SessionOptions = {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      enableMemPattern: false, // plans memory for each new shape anew, for no gain in speed
      logSeverityLevel: 3,
      ...(webgpu ? { executionProviders: ["webgpu", "wasm"] } : {}),
    };
    try {
      return new Session(ort, await ort.InferenceSession.create(graph.content, options), webgpu);
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
   * @throws EdgemetaError of kind "runtime": onnxruntime failed.
   */
  async run(feeds: ReadonlyMap<string, Tensor>): Promise<Map<string, Tensor>> {
    const turn = this.#last.then(() => this.#run(feeds));
    this.#last = turn.catch(() => undefined); // WebGPU takes one call at a time
    return turn;
  }

  async release(): Promise<void> {
    await this.#last;
    await this.#session.release();
  }

  async #run(feeds: ReadonlyMap<string, Tensor>): Promise<Map<string, Tensor>> {
    try {
      const given: Record<string, common.Tensor> = {};
      for (const [name, { data, dims, dtype }] of feeds) {
        given[name] = new this.#ort.Tensor(dtype, data as never, dims);
      }
      const found = new Map<string, Tensor>();
      for (const [name, value] of Object.entries(await this.#session.run(given))) {
        if (!isDtype(value.type)) throw new Error(`${name} is of type ${value.type}`);
        found.set(name, { data: value.data as TypedArray, dims: value.dims, dtype: value.type });
      }
      return found;
    } catch (error) {
      const hint = this.#webgpu ? "WebGPU cannot run every graph: load without it" : undefined;
      throw new EdgemetaError("runtime", "onnxruntime failed", { got: error, hint });
    }
  }
}

/** Whether this browser has a graphics card that WebGPU can use; false in Node. */
export async function hasWebGpu(): Promise<boolean> {
  const gpu = (globalThis.navigator as { gpu?: { requestAdapter(): Promise<unknown> } } | undefined)
    ?.gpu;
  return gpu !== undefined && (await gpu.requestAdapter()) !== null;
}
