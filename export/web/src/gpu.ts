/** Tensors that stay on a graphics card between calls, where WebGPU computes. */

import type * as common from "onnxruntime-common";
import { EdgemetaError } from "./errors.js";
import { type Dtype, isDtype, type Tensor, type TypedArray } from "./tensor.js";

type Constructor = typeof common.Tensor;
type GpuValue = common.TypedTensor<common.Tensor.GpuBufferDataTypes>;

/** What onnxruntime-web can leave on the card; of all others it would say that it cannot. */
const KEEPABLE: ReadonlySet<Dtype> = new Set(["float32", "float16", "int32", "int64", "uint32"]);

export function staysOnGpu(dtype: Dtype): boolean {
  return KEEPABLE.has(dtype);
}

/** A tensor on the graphics card. */
export class GpuTensor {
  readonly dims: readonly number[];
  readonly dtype: Dtype;
  readonly #value: GpuValue;
  readonly #buffer: common.Tensor.GpuBufferType;
  readonly #memory: GpuMemory;
  #data: Promise<Tensor> | null = null;

  /** Made by `GpuMemory.hold`. */
  constructor(value: GpuValue, dtype: Dtype, memory: GpuMemory) {
    this.dims = value.dims;
    this.dtype = dtype;
    this.#value = value;
    // Once downloaded, onnxruntime's tensor names the copy alone, and would be uploaded again.
    this.#buffer = value.gpuBuffer;
    this.#memory = memory;
  }

  /** Return it as an input of a run. */
  asInput(Tensor: Constructor): common.Tensor {
    this.#check();
    const options = { dataType: this.#value.type, dims: this.dims };
    return Tensor.fromGpuBuffer(this.#buffer, options);
  }

  /** Return its numbers, which come from the card once. */
  async download(): Promise<Tensor> {
    if (this.#data === null) {
      this.#check();
      const { dims, dtype } = this;
      const data = this.#value.getData() as Promise<TypedArray>;
      this.#data = data.then((found) => ({ data: found, dims, dtype }));
    }
    return this.#data;
  }

  /** Give its memory back; its numbers stay if they were downloaded. */
  free(): void {
    this.#memory.free(this.#value);
  }

  #check(): void {
    if (this.#memory.holds(this.#value)) return;
    throw released();
  }
}

/** Return what is to be said where a learner is used that was released. */
export function released(): EdgemetaError {
  return new EdgemetaError("input", "the learner was released, and is of no more use", {
    hint: "save it, or adapt again, before it is released",
  });
}

/** What one runner has on the graphics card. */
export class GpuMemory {
  readonly #values = new Set<GpuValue>();
  /** Frees what nobody can reach any more, at a time of the browser's choice. */
  readonly #unreachable =
    typeof FinalizationRegistry === "undefined"
      ? null
      : new FinalizationRegistry<GpuValue>((value) => this.free(value));

  /** Return a tensor that stays on the card until it is freed, or out of reach. */
  hold(value: common.Tensor): GpuTensor {
    const kept = value as GpuValue;
    if (!isDtype(kept.type)) throw new Error(`a tensor of type ${kept.type}`);
    const tensor = new GpuTensor(kept, kept.type, this);
    this.#values.add(kept);
    this.#unreachable?.register(tensor, kept);
    return tensor;
  }

  holds(value: GpuValue): boolean {
    return this.#values.has(value);
  }

  free(value: GpuValue): void {
    if (this.#values.delete(value)) value.dispose();
  }

  freeAll(): void {
    for (const value of [...this.#values]) this.free(value);
  }

  get size(): number {
    return this.#values.size;
  }
}
