/**
 * Tables of indices, which a bundle has in 8 or 16 bits beside a Cast, in the 32 or 64 bits that are
 * computed with: with WebGPU, onnxruntime-web 1.30 has no Cast of 16 bits, and loads no such graph.
 */

import { ATTRIBUTE_FIELDS, NODE_FIELDS, type Rules } from "./contract.js";
import { initializerField } from "./initializer.js";
import { external, type Initializer, RAW_DATA } from "./onnx-check.js";
import { type Field, integer, type ProtobufReader, text } from "./protobuf.js";
import { count, DTYPES, type Dtype, fromBytes } from "./tensor.js";

const EVERY_FIELD: Rules = new Map([...NODE_FIELDS].map(([tag]) => [tag, "many"]));
const [INPUT, OUTPUT, OP_TYPE, ATTRIBUTE] = [1, 2, 4, 5]; // of a node
const [KEY, INTEGER] = [1, 3]; // of an attribute
const NARROW: ReadonlySet<Dtype> = new Set(["int8", "uint8", "int16", "uint16"]);
const MOST_NUMBERS = 2 ** 24; // of all tables; real ones have thousands

/** Widens the tables of a graph, but for those that would take too much memory. */
export class Tables {
  readonly #reader: ProtobufReader;
  readonly #tensors: ReadonlyMap<string, Initializer>;
  readonly #init: Uint8Array;
  #left = MOST_NUMBERS;

  /** @param tensors of the outer graph, without those that may be given as inputs. */
  constructor(
    reader: ProtobufReader,
    tensors: ReadonlyMap<string, Initializer>,
    init: Uint8Array,
  ) {
    this.#reader = reader;
    this.#tensors = tensors;
    this.#init = init;
  }

  /** Return the wide table in place of a node that makes it from a narrow one; else null. */
  inPlaceOf({ content }: Field): Uint8Array | null {
    const fields = this.#reader.fields(content, EVERY_FIELD);
    const one = (wanted: number) => fields.find(({ number }) => number === wanted);
    const table = this.#tensors.get(text(one(INPUT)));
    if (text(one(OP_TYPE)) !== "Cast" || table === undefined || !NARROW.has(table.dtype)) return null;
    const to = this.#to(one(ATTRIBUTE));
    const values = external(table, this.#init) ?? rawOf(table);
    if (to === null || values === undefined || count(table.dims) > this.#left) return null;
    this.#left -= count(table.dims);
    const narrow = fromBytes(values, table.dims, table.dtype).data as Uint16Array;
    const data = to === "int32" ? Int32Array.from(narrow) : BigInt64Array.from(narrow, BigInt);
    return initializerField(text(one(OUTPUT)), { data, dims: table.dims, dtype: to });
  }

  #to(attribute: Field | undefined): "int32" | "int64" | null {
    if (attribute === undefined) return null;
    const fields = this.#reader.fields(attribute.content, ATTRIBUTE_FIELDS);
    const one = (wanted: number) => fields.find(({ number }) => number === wanted);
    if (text(one(KEY)) !== "to") return null;
    const found = integer(one(INTEGER));
    return found === DTYPES.int32.onnx ? "int32" : found === DTYPES.int64.onnx ? "int64" : null;
  }
}

function rawOf({ fields }: Initializer): Uint8Array | undefined {
  return fields.find(({ number }) => number === RAW_DATA)?.content;
}
