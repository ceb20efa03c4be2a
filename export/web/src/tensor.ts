/** Arrays of numbers as files and onnxruntime have them. */

export type TypedArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

/** A tensor: numbers in C order, and the sizes of its axes; no axis for a scalar. */
export interface Tensor {
  readonly data: TypedArray;
  readonly dims: readonly number[];
  readonly dtype: Dtype;
}

type Constructor = new (buffer: ArrayBuffer) => TypedArray;

interface Kind {
  readonly bytes: number;
  readonly array: Constructor;
  /** The name in a safetensors file. */
  readonly safetensors: string;
  /** The number in an ONNX file. */
  readonly onnx: number;
}

/** Every dtype that data and state may have, by numpy's name of it. Half floats are left as bits. */
export const DTYPES = {
  bool: { bytes: 1, array: Uint8Array, safetensors: "BOOL", onnx: 9 },
  int8: { bytes: 1, array: Int8Array, safetensors: "I8", onnx: 3 },
  uint8: { bytes: 1, array: Uint8Array, safetensors: "U8", onnx: 2 },
  int16: { bytes: 2, array: Int16Array, safetensors: "I16", onnx: 5 },
  uint16: { bytes: 2, array: Uint16Array, safetensors: "U16", onnx: 4 },
  int32: { bytes: 4, array: Int32Array, safetensors: "I32", onnx: 6 },
  uint32: { bytes: 4, array: Uint32Array, safetensors: "U32", onnx: 12 },
  int64: { bytes: 8, array: BigInt64Array, safetensors: "I64", onnx: 7 },
  uint64: { bytes: 8, array: BigUint64Array, safetensors: "U64", onnx: 13 },
  float16: { bytes: 2, array: Uint16Array, safetensors: "F16", onnx: 10 },
  float32: { bytes: 4, array: Float32Array, safetensors: "F32", onnx: 1 },
  float64: { bytes: 8, array: Float64Array, safetensors: "F64", onnx: 11 },
} as const satisfies Record<string, Kind>;

export type Dtype = keyof typeof DTYPES;

export function isDtype(name: unknown): name is Dtype {
  return typeof name === "string" && Object.hasOwn(DTYPES, name);
}

/**
 * Return how many numbers a tensor of these sizes has; 1 for a scalar.
 *
 * @throws Error where that is beyond 2^53 - 1, from where on products are rounded, also if it is
 *   only for an axis of 0 that there are none.
 */
export function count(dims: readonly number[]): number {
  const product = dims.reduce((found, size) => found * (size || 1), 1);
  if (!Number.isSafeInteger(product)) throw new Error(`too large a shape: ${dims.join(" x ")}`);
  return dims.includes(0) ? 0 : product;
}

/** Return how many bytes a tensor has; throws as `count`. */
export function bytesOf(dims: readonly number[], dtype: Dtype): number {
  return count([...dims, DTYPES[dtype].bytes]);
}

/** Return a tensor of bytes that are little-endian, a copy of them. */
export function fromBytes(bytes: Uint8Array, dims: readonly number[], dtype: Dtype): Tensor {
  // Not `slice`: that of Node's Buffer is a view of a larger buffer.
  return { data: new DTYPES[dtype].array(new Uint8Array(bytes).buffer), dims, dtype };
}

/** Return the bytes of a tensor, a view; every machine that runs JavaScript is little-endian. */
export function toBytes({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Whether all numbers are finite. */
export function isFinite(tensor: Tensor): boolean {
  const { data, dtype } = tensor;
  if (dtype === "float16") return (data as Uint16Array).every((bits) => (bits & 0x7c00) !== 0x7c00);
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return true;
  for (const value of data) if (!Number.isFinite(value)) return false;
  return true;
}

/** Return a scalar. */
export function int64(value: number): Tensor {
  return { data: BigInt64Array.of(BigInt(value)), dims: [], dtype: "int64" };
}

/** Return a scalar. */
export function float32(value: number): Tensor {
  return { data: Float32Array.of(value), dims: [], dtype: "float32" };
}
