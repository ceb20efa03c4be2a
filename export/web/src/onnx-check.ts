/**
 * What is in an ONNX file, read before onnxruntime sees it; as `edgemeta/bundle/_onnx_check.py`.
 *
 * onnxruntime opens any file that a graph names as external data. So only `init.bin` may be named, and
 * even that is handed over from memory. What edgemeta's compiler never writes is refused: functions,
 * other op domains, sparse or string tensors, external data in an inner graph. Field numbers are those
 * of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
 */

import * as contract from "./contract.js";
import { ADAPT, INIT, type Manifest, PREDICT } from "./manifest.js";
import { type Field, integer, integers, ProtobufReader, text } from "./protobuf.js";
import { checkBools } from "./safetensors.js";
import { bytesOf, count, DTYPES, type Dtype } from "./tensor.js";

export const MODEL_GRAPH = 7;
const OPSET_IMPORT = 8;
const [OPSET_DOMAIN, OPSET_VERSION] = [1, 2];
export const NODE = 1;
export const INITIALIZER = 5;
const [OP_TYPE, ATTRIBUTE, DOMAIN] = [4, 5, 7]; // of a node
const [TENSORS, GRAPHS] = [new Set([5, 10]), new Set([6, 11])]; // of an attribute
export const [DIMS, DATA_TYPE, NAME] = [1, 2, 8]; // of a tensor
export const [RAW_DATA, EXTERNAL_DATA, DATA_LOCATION] = [9, 13, 14];
const TYPED_DATA = new Set([4, 5, 7, 10, 11]);
const EXTERNAL = 1; // data location

const BY_NUMBER = new Map<number, Dtype>(
  Object.entries(DTYPES).map(([dtype, kind]) => [kind.onnx, dtype as Dtype]),
);

/** A tensor that a graph holds, or that is in `init.bin`. */
export interface Initializer {
  readonly name: string;
  readonly dtype: Dtype;
  readonly dims: readonly number[];
  /** Where it begins in `init.bin`; null for one inside the graph. */
  readonly offset: number | null;
  /** The tensor's own fields. */
  readonly fields: readonly Field[];
}

/** What an ONNX file holds. */
export interface Graph {
  /** Of the standard domain. */
  readonly opset: number;
  /** Types of its ops, those in inner graphs included. */
  readonly ops: ReadonlySet<string>;
  /** Of the outer graph, by name. */
  readonly initializers: ReadonlyMap<string, Initializer>;
}

/**
 * Read a graph of a bundle and check that it is the one that the manifest describes.
 *
 * @param content of the file.
 * @param init content of `init.bin`.
 * @throws Error where it is not, or has something that no compiler of edgemeta writes.
 */
export function checkGraph(
  content: Uint8Array,
  name: typeof ADAPT | typeof PREDICT,
  manifest: Manifest,
  init: Uint8Array,
): Graph {
  const graph = new GraphReader().read(content);
  if (graph.opset !== manifest.opset) {
    throw new Error(`opset ${graph.opset}, the manifest says ${manifest.opset}`);
  }
  const want = new Set(manifest.ops[name]);
  const odd = [...graph.ops, ...want].filter((op) => graph.ops.has(op) !== want.has(op));
  if (odd.length > 0) throw new Error(`ops missing or unknown: ${odd.join(", ")}`);
  for (const { name: key, dtype, shape } of manifest.state) {
    const tensor = graph.initializers.get(key);
    if (tensor?.dtype !== dtype || `${tensor.dims}` !== `${shape}`) {
      throw new Error(`state tensor ${key} does not fit its manifest`);
    }
  }
  for (const tensor of graph.initializers.values()) {
    const values = external(tensor, init);
    if (tensor.dtype === "bool" && values !== null) checkBools(tensor.name, values);
  }
  return graph;
}

/** Return the bytes of an initializer in `init.bin`, a view; null for one inside the graph. */
export function external(tensor: Initializer, init: Uint8Array): Uint8Array | null {
  const { name, dtype, dims, offset } = tensor;
  if (offset === null) return null;
  const end = offset + bytesOf(dims, dtype);
  if (end > init.length) throw new Error(`${name} ends beyond the ${init.length} bytes of ${INIT}`);
  return init.subarray(offset, end);
}

class GraphReader {
  readonly #reader = new ProtobufReader(contract.MAX_FIELDS);
  readonly #ops = new Set<string>();
  readonly #initializers = new Map<string, Initializer>();

  read(content: Uint8Array): Graph {
    const model = this.#reader.fields(content, contract.MODEL_FIELDS);
    const [graph] = model.filter(({ number }) => number === MODEL_GRAPH);
    const opsets = model.filter(({ number }) => number === OPSET_IMPORT);
    const versions = opsets.map((field) => this.#opset(field));
    const [opset] = versions;
    if (graph === undefined || opset === undefined || versions.length > 1) {
      throw new Error(`${graph === undefined ? "no" : "a"} graph and ${opsets.length} opsets`);
    }
    this.#graph(graph, contract.MAX_GRAPHS, true);
    return { opset, ops: this.#ops, initializers: this.#initializers };
  }

  #opset({ content }: Field): number {
    const found = this.#reader.fields(content, contract.OPSET_FIELDS);
    const domain = text(found.find(({ number }) => number === OPSET_DOMAIN));
    const version = found.find(({ number }) => number === OPSET_VERSION);
    if (domain !== "" || version === undefined) throw new Error(`opset of the domain "${domain}"`);
    return integer(version);
  }

  #graph({ content }: Field, depth: number, isOuter: boolean): void {
    if (depth === 0) throw new Error(`graphs nested deeper than ${contract.MAX_GRAPHS}`);
    for (const field of this.#reader.fields(content, contract.GRAPH_FIELDS)) {
      if (field.number === NODE) this.#node(field, depth);
      if (field.number !== INITIALIZER) continue;
      const tensor = this.#tensor(field, isOuter);
      if (!isOuter) continue;
      if (tensor.name === "" || this.#initializers.has(tensor.name)) {
        throw new Error(`an initializer without a name of its own: "${tensor.name}"`);
      }
      this.#initializers.set(tensor.name, tensor);
    }
  }

  #node({ content }: Field, depth: number): void {
    let op = "";
    for (const field of this.#reader.fields(content, contract.NODE_FIELDS)) {
      if (field.number === OP_TYPE) op = text(field);
      if (field.number === DOMAIN && text(field) !== "") {
        throw new Error(`an op of the domain ${text(field)}`);
      }
      if (field.number !== ATTRIBUTE) continue;
      for (const value of this.#reader.fields(field.content, contract.ATTRIBUTE_FIELDS)) {
        if (TENSORS.has(value.number)) this.#tensor(value, false);
        if (GRAPHS.has(value.number)) this.#graph(value, depth - 1, false);
      }
    }
    if (op === "") throw new Error("a node without an op");
    this.#ops.add(op);
  }

  #tensor({ content }: Field, mayBeExternal: boolean): Initializer {
    const fields = this.#reader.fields(content, contract.TENSOR_FIELDS);
    const single = new Map(fields.map((field) => [field.number, field]));
    const name = text(single.get(NAME));
    const dims = fields
      .filter(({ number }) => number === DIMS)
      .flatMap((field) => integers(field, contract.MAX_AXES));
    if (dims.length > contract.MAX_AXES || dims.some((size) => size > contract.MAX_SIZE)) {
      throw new Error(`${name} has shape ${dims.join(" x ")}`);
    }
    const number = integer(single.get(DATA_TYPE));
    const dtype = BY_NUMBER.get(number);
    if (dtype === undefined) throw new Error(`${name} has data type ${number}`);
    const bytes = bytesOf(dims, dtype);
    const entries = fields.filter((field) => field.number === EXTERNAL_DATA);
    const typed = fields.filter((field) => TYPED_DATA.has(field.number));
    const raw = single.get(RAW_DATA)?.content;
    const location = integer(single.get(DATA_LOCATION));
    if (location === EXTERNAL && mayBeExternal && typed.length === 0 && raw === undefined) {
      const offset = this.#offset(entries, name, bytes, DTYPES[dtype].bytes);
      return { name, dtype, dims, offset, fields };
    }
    if (location !== 0 || entries.length > 0) {
      throw new Error(`${name} has external data where there can be none`);
    }
    // Each number that is not raw takes a byte at least.
    const room = typed.reduce((sum, field) => sum + field.content.length, 0);
    const fits =
      raw === undefined
        ? count(dims) <= room
        : typed.length === 0 && raw.length === bytes;
    if (!fits) throw new Error(`${name} of shape ${dims.join(" x ")} has another number of values`);
    return { name, dtype, dims, offset: null, fields };
  }

  /** Return where in `init.bin` an external tensor begins. */
  #offset(entries: readonly Field[], name: string, bytes: number, width: number): number {
    const said = new Map<string, string>();
    for (const { content } of entries) {
      const pair = this.#reader.fields(content, contract.ENTRY_FIELDS);
      const [key, value] = [1, 2].map((wanted) => pair.find(({ number }) => number === wanted));
      if (key === undefined || value === undefined || said.has(text(key))) {
        throw new Error(`${name} has external data that is said twice, or half`);
      }
      said.set(text(key), text(value));
    }
    const [offset, length] = [size(said.get("offset")), size(said.get("length"))];
    if (said.get("location") !== INIT || said.size !== 3 || offset === null || length === null) {
      throw new Error(`${name} has external data that is not in ${INIT}`);
    }
    if (length !== bytes || offset % width !== 0) {
      throw new Error(`${name} of ${bytes} bytes has ${length} at ${offset} of ${INIT}`);
    }
    return offset;
  }
}

function size(text: string | undefined): number | null {
  const isSize = text !== undefined && /^[0-9]+$/.test(text) && text.length <= contract.MAX_DIGITS;
  return isSize ? Number(text) : null;
}
