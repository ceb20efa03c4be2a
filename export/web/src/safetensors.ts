/**
 * Safetensors files: https://github.com/huggingface/safetensors#format, and the digest of a state
 * file, as `edgemeta/bundle/_tensor_file.py` has it.
 */

import { HEADER_ROOM } from "./contract.js";
import { hex, platformSha256, type Sha256 } from "./hash.js";
import { exactly, isInteger, type Json, object, parseObject, show, sizes } from "./json.js";
import { bytesOf, DTYPES, type Dtype, fromBytes, type Tensor, toBytes } from "./tensor.js";
import { encode } from "./utf8.js";

const LENGTH_BYTES = 8;
const METADATA = "__metadata__";
const BY_NAME = new Map<string, Dtype>(
  Object.entries(DTYPES).map(([dtype, kind]) => [kind.safetensors, dtype as Dtype]),
);

export type Tensors = Map<string, Tensor>;
export type Metadata = Map<string, string>;

/**
 * Read a safetensors file.
 *
 * @throws Error where it is damaged: the header, a dtype, a size, or the order of the values.
 */
export function readTensors(content: Uint8Array): { metadata: Metadata; tensors: Tensors } {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const size = content.length < LENGTH_BYTES ? -1 : Number(view.getBigUint64(0, true));
  if (size < 0 || size > Math.min(HEADER_ROOM, content.length - LENGTH_BYTES)) {
    throw new Error("no header of a safetensors file");
  }
  const header = parseObject(content.subarray(LENGTH_BYTES, LENGTH_BYTES + size));
  const metadata: Metadata = new Map();
  if (Object.hasOwn(header, METADATA)) {
    for (const [key, value] of Object.entries(object(header[METADATA], "the metadata"))) {
      if (typeof value !== "string") throw new Error("metadata that are no texts");
      metadata.set(key, value);
    }
  }
  const values = content.subarray(LENGTH_BYTES + size);
  const places = Object.entries(header)
    .filter(([name]) => name !== METADATA)
    .map(([name, entry]) => place(name, entry))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  const tensors: Tensors = new Map();
  let at = 0;
  for (const { name, begin, end, dims, dtype } of places) {
    if (begin !== at || end > values.length) throw new Error(`${name} has a hole before or after it`);
    const bytes = values.subarray(begin, end);
    if (dtype === "bool") checkBools(name, bytes);
    tensors.set(name, fromBytes(bytes, dims, dtype));
    at = end;
  }
  if (at !== values.length) throw new Error("bytes that belong to no tensor");
  return { metadata, tensors };
}

/** Throw where a truth value is neither 0 nor 1, which is undefined in C++. */
export function checkBools(name: string, bytes: Uint8Array): void {
  if (bytes.some((byte) => byte > 1)) throw new Error(`${name} holds truth values beyond 0 and 1`);
}

/** Return the content of a safetensors file; values are aligned for whoever maps it. */
export function writeTensors(tensors: Tensors, metadata: Metadata = new Map()): Uint8Array {
  // Wide numbers first, so that each tensor begins at a multiple of its numbers' width.
  const ordered = [...tensors].sort(
    ([a, x], [b, y]) => DTYPES[y.dtype].bytes - DTYPES[x.dtype].bytes || compareText(a, b),
  );
  const header: Record<string, unknown> = Object.create(null);
  if (metadata.size > 0) header[METADATA] = Object.fromEntries(metadata);
  let end = 0;
  for (const [name, { data, dims, dtype }] of ordered) {
    const begin = end;
    end += data.byteLength;
    header[name] = { dtype: DTYPES[dtype].safetensors, shape: dims, data_offsets: [begin, end] };
  }
  let text = encode(JSON.stringify(header));
  const padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20);
  padded.set(text);
  text = padded;
  const content = new Uint8Array(LENGTH_BYTES + text.length + end);
  new DataView(content.buffer).setBigUint64(0, BigInt(text.length), true);
  content.set(text, LENGTH_BYTES);
  let at = LENGTH_BYTES + text.length;
  for (const [, tensor] of ordered) {
    content.set(toBytes(tensor), at);
    at += tensor.data.byteLength;
  }
  return content;
}

/**
 * Return the sha256, in hex, of tensors and metadata, whatever their order in a file.
 *
 * Hashed are, in order of their names: of all metadata, name and value; of all tensors, name, numpy's
 * name of the dtype, the sizes of the axes joined by commas, and the values, little-endian in C order.
 * Every text ends with a zero byte.
 */
export async function digest(
  tensors: Tensors,
  metadata: Metadata,
  sha256: Sha256 = platformSha256,
): Promise<string> {
  const parts: Uint8Array[] = [];
  for (const [name, value] of [...metadata].sort(([a], [b]) => compareText(a, b))) {
    parts.push(encode(`${name}\0${value}\0`));
  }
  for (const [name, tensor] of [...tensors].sort(([a], [b]) => compareText(a, b))) {
    parts.push(encode(`${name}\0${tensor.dtype}\0${tensor.dims.join(",")}\0`));
    parts.push(toBytes(tensor));
  }
  return hex(sha256, joined(parts));
}

/** Return byte arrays one after another. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Order texts by code points, as Python does; JavaScript's own order is that of UTF-16 units. */
export function compareText(a: string, b: string): number {
  const [x, y] = [Array.from(a), Array.from(b)];
  const differing = x.findIndex((character, k) => character !== y[k]);
  if (differing < 0) return x.length - y.length;
  return (x[differing]?.codePointAt(0) ?? -1) - (y[differing]?.codePointAt(0) ?? -1);
}

function place(name: string, value: Json) {
  const entry = exactly(value, `the entry of ${name}`, ["dtype", "shape", "data_offsets"]);
  const kind = entry["dtype"];
  const dtype = typeof kind === "string" ? BY_NAME.get(kind) : undefined;
  if (dtype === undefined) throw new Error(`${name} has dtype ${show(kind)}`);
  const dims = sizes(entry["shape"], name);
  const offsets = entry["data_offsets"];
  const [begin, end] = Array.isArray(offsets) && offsets.length === 2 ? offsets : [];
  if (!isInteger(begin, 0) || !isInteger(end, 0)) throw new Error(`${name} has no place`);
  if (end - begin !== bytesOf(dims, dtype)) {
    throw new Error(`${name} of shape ${dims.join(" x ")} has another number of values`);
  }
  return { name, dims, dtype, begin, end };
}
