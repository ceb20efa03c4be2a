/**
 * Graphs as JavaScript's onnxruntimes can use them.
 *
 * In a bundle, a state tensor is an input with a default, the init. Neither onnxruntime-web nor
 * onnxruntime-node can feed such an input: they know those alone that have no default, and the one
 * refuses all others while the other silently predicts with the default. So the defaults are taken
 * out, which makes them plain inputs, and are handed over at each call. All other values outside of
 * the graph are taken in: onnxruntime then opens no file, whatever a graph names. The field numbers
 * are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
 */

import { INIT } from "./manifest.js";
import { count, DTYPES, type Dtype, fromBytes, type Tensor } from "./tensor.js";
import { joined } from "./safetensors.js";
import { BYTES, bytesField, type Field, fields, packed, text } from "./wire.js";

const MODEL = new Set([1, 2, 3, 4, 5, 6, 7, 8, 14]); // all but training and functions
const GRAPH_OF_MODEL = 7;
const GRAPH = new Set([1, 2, 5, 10, 11, 12, 13, 16]); // all but sparse and quantized tensors
const [NODE, INITIALIZER, INPUT, OUTPUT] = [1, 5, 11, 12];
const NAME_OF_VALUE = 1;
const [OP_TYPE, ATTRIBUTE, DOMAIN] = [4, 5, 7]; // of a node
const [TENSORS, GRAPHS] = [new Set([5, 10]), new Set([6, 11])]; // of an attribute
const [DIMS, DATA_TYPE, NAME, RAW_DATA, EXTERNAL_DATA, DATA_LOCATION] = [1, 2, 8, 9, 13, 14];
const MAX_DEPTH = 8; // graphs within graphs

const BY_NUMBER = new Map<number, Dtype>(
  Object.entries(DTYPES).map(([dtype, kind]) => [kind.onnx, dtype as Dtype]),
);

/** A graph that needs no file beside it, all of whose inputs have to be given. */
export interface PreparedGraph {
  readonly content: Uint8Array;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Types of its ops, those in inner graphs included. */
  readonly ops: ReadonlySet<string>;
  /** What the inputs with a default had there. */
  readonly defaults: ReadonlyMap<string, Tensor>;
}

/**
 * Make inputs with a default plain inputs, and take in what is in `init.bin`.
 *
 * @param content of an ONNX file.
 * @param init content of `init.bin`.
 * @throws Error where it has something that no compiler of edgemeta writes.
 */
export function prepare(content: Uint8Array, init: Uint8Array): PreparedGraph {
  const model = known(fields(content), MODEL);
  const graphs = model.filter((field) => field.number === GRAPH_OF_MODEL);
  const [graph] = graphs;
  if (graph === undefined || graphs.length > 1) throw new Error(`${graphs.length} graphs`);
  const entries = known(fields(graph.bytes), GRAPH);
  const [inputs, outputs] = [names(entries, INPUT), names(entries, OUTPUT)];
  const ops = new Set<string>();
  const defaults = new Map<string, Tensor>();
  const kept: Uint8Array[] = [];
  for (const entry of entries) {
    if (entry.number === NODE) readNode(entry, MAX_DEPTH, ops);
    if (entry.number !== INITIALIZER) {
      kept.push(entry.raw);
      continue;
    }
    const { name, external, raw } = readTensor(entry.bytes, init);
    if (inputs.includes(name)) defaults.set(name, values(entry.bytes, external ?? raw, name));
    else kept.push(external === null ? entry.raw : inside(entry.bytes, external));
  }
  const changed = model.map((field) =>
    field === graph ? bytesField(GRAPH_OF_MODEL, joined(kept)) : field.raw,
  );
  return { content: joined(changed), inputs, outputs, ops, defaults };
}

/** Return the tensor with its values in it, not beside it. */
function inside(tensor: Uint8Array, external: Uint8Array): Uint8Array {
  const kept = fields(tensor).filter(
    ({ number }) => number !== EXTERNAL_DATA && number !== DATA_LOCATION,
  );
  const parts = [...kept.map((field) => field.raw), bytesField(RAW_DATA, external)];
  return bytesField(INITIALIZER, joined(parts));
}

function values(tensor: Uint8Array, bytes: Uint8Array | null, name: string): Tensor {
  const { dims, dtype } = shape(tensor, name);
  if (bytes === null) throw new Error(`${name} has its values in a form that is not read here`);
  return fromBytes(bytes, dims, dtype);
}

function shape(tensor: Uint8Array, name: string): { dims: number[]; dtype: Dtype } {
  const entries = fields(tensor);
  const dims = entries
    .filter(({ number }) => number === DIMS)
    .flatMap((field) => (field.wire === BYTES ? packed(field.bytes) : [field.value]));
  const dtype = BY_NUMBER.get(entries.find(({ number }) => number === DATA_TYPE)?.value ?? 0);
  if (dtype === undefined) throw new Error(`${name} has an unknown data type`);
  return { dims, dtype };
}

/** Return the name of a tensor and its bytes: those in `init.bin`, or those within. */
function readTensor(tensor: Uint8Array, init: Uint8Array) {
  const entries = fields(tensor);
  const named = entries.find(({ number }) => number === NAME);
  const name = named === undefined ? "" : text(named.bytes);
  const raw = entries.find(({ number }) => number === RAW_DATA)?.bytes ?? null;
  if (!isExternal(entries)) return { name, external: null, raw: checkedSize(tensor, raw, name) };
  const said = new Map(
    entries
      .filter(({ number }) => number === EXTERNAL_DATA)
      .map((field): [string, string] => {
        const [key, value] = fields(field.bytes).map((each) => text(each.bytes));
        return [key ?? "", value ?? ""];
      }),
  );
  const [offset, length] = [Number(said.get("offset")), Number(said.get("length"))];
  const fits = offset >= 0 && length >= 0 && offset + length <= init.length;
  if (said.get("location") !== INIT || said.size !== 3 || !fits || raw !== null) {
    throw new Error(`${name} has external data that is not in ${INIT}`);
  }
  const external = checkedSize(tensor, init.subarray(offset, offset + length), name);
  return { name, external, raw };
}

function checkedSize<T extends Uint8Array | null>(tensor: Uint8Array, bytes: T, name: string): T {
  if (bytes === null) return bytes;
  const { dims, dtype } = shape(tensor, name);
  if (bytes.length !== count(dims) * DTYPES[dtype].bytes) {
    throw new Error(`${name} of shape ${dims.join(" x ")} has another number of values`);
  }
  return bytes;
}

function isExternal(tensor: readonly Field[]): boolean {
  return tensor.some(
    ({ number, value }) => number === EXTERNAL_DATA || (number === DATA_LOCATION && value !== 0),
  );
}

/** Gather ops; refuse those of other domains, and values in files within graphs and attributes. */
function readNode(node: Field, depth: number, ops: Set<string>): void {
  if (depth === 0) throw new Error(`graphs nested deeper than ${MAX_DEPTH}`);
  for (const field of fields(node.bytes)) {
    if (field.number === OP_TYPE) ops.add(text(field.bytes));
    if (field.number === DOMAIN && field.bytes.length > 0) {
      throw new Error(`an op of the domain ${text(field.bytes)}`);
    }
    if (field.number !== ATTRIBUTE) continue;
    for (const value of fields(field.bytes)) {
      if (TENSORS.has(value.number) && isExternal(fields(value.bytes))) {
        throw new Error("external data where there can be none");
      }
      if (GRAPHS.has(value.number)) readInner(value.bytes, depth - 1, ops);
    }
  }
}

function readInner(graph: Uint8Array, depth: number, ops: Set<string>): void {
  for (const entry of known(fields(graph), GRAPH)) {
    if (entry.number === NODE) readNode(entry, depth, ops);
    if (entry.number === INITIALIZER && isExternal(fields(entry.bytes))) {
      throw new Error("external data where there can be none");
    }
  }
}

function known(found: Field[], numbers: ReadonlySet<number>): Field[] {
  const odd = found.find(({ number }) => !numbers.has(number));
  if (odd !== undefined) throw new Error(`a field ${odd.number} that no bundle has`);
  return found;
}

function names(entries: readonly Field[], wanted: number): string[] {
  return entries
    .filter(({ number }) => number === wanted)
    .map(({ bytes }) => {
      const name = fields(bytes).find(({ number }) => number === NAME_OF_VALUE);
      return name === undefined ? "" : text(name.bytes);
    });
}
