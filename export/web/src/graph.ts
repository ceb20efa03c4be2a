/**
 * Graphs as JavaScript's onnxruntimes can use them.
 *
 * In a bundle, a state tensor is an input with a default, the init. Neither onnxruntime-web nor
 * onnxruntime-node can feed such an input: they know those alone that have no default, and the one
 * refuses all others while the other silently predicts with the default. So the defaults are taken
 * out, which makes them plain inputs, and are handed over at each call. All other values outside of
 * the graph are taken in: onnxruntime then opens no file, whatever a graph names.
 */

import { GRAPH_FIELDS, MAX_FIELDS, MODEL_FIELDS, type Rules } from "./contract.js";
import {
  DATA_LOCATION,
  external,
  EXTERNAL_DATA,
  type Graph,
  INITIALIZER,
  type Initializer,
  MODEL_GRAPH,
  NODE,
  RAW_DATA,
} from "./onnx-check.js";
import { bytesField, type Field, ProtobufReader, text } from "./protobuf.js";
import { joined } from "./safetensors.js";
import { Tables } from "./tables.js";
import { fromBytes, type Tensor } from "./tensor.js";

export const [INPUT, OUTPUT] = [11, 12];
// The check skips them; these are read to know the names, and kept.
export const KEPT: Rules = new Map([...MODEL_FIELDS].map(([tag]) => [tag, "many"]));
export const KEPT_OF_GRAPH: Rules = new Map([...GRAPH_FIELDS].map(([tag]) => [tag, "many"]));
/** ValueInfoProto: name, type, doc, metadata. */
const VALUE: Rules = new Map([[10, "once"], [18, "once"], [26, "once"], [34, "many"]]);
const NAME_OF_VALUE = 1;

/** A graph that needs no file beside it, all of whose inputs have to be given. */
export interface PreparedGraph {
  readonly content: Uint8Array;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** What the inputs with a default had there. */
  readonly defaults: ReadonlyMap<string, Tensor>;
}

/**
 * Make inputs with a default plain inputs, and take in what is in `init.bin`.
 *
 * @param content of an ONNX file.
 * @param graph what `checkGraph` found in it.
 * @param init content of `init.bin`.
 * @throws Error where an input or an output is none.
 */
export function prepare(content: Uint8Array, graph: Graph, init: Uint8Array): PreparedGraph {
  const reader = new ProtobufReader(2 * MAX_FIELDS);
  const model = reader.fields(content, KEPT);
  const outer = model.find(({ number }) => number === MODEL_GRAPH)?.content ?? new Uint8Array();
  const entries = reader.fields(outer, KEPT_OF_GRAPH);
  const names = (wanted: number) =>
    entries.filter(({ number }) => number === wanted).map((entry) => nameOf(entry, reader));
  const [inputs, outputs] = [names(INPUT), names(OUTPUT)];
  const given = new Set(inputs);
  const defaults = new Map<string, Tensor>();
  const plain = [...graph.initializers].filter(([name]) => !given.has(name));
  const tables = new Tables(reader, new Map(plain), init);
  const kept = entries
    .filter(({ number }) => number !== INITIALIZER)
    .map((entry) => (entry.number === NODE ? tables.inPlaceOf(entry) : null) ?? entry.raw);
  for (const tensor of graph.initializers.values()) {
    const { name, dtype, dims, fields } = tensor;
    const outside = external(tensor, init);
    if (!given.has(name)) {
      kept.push(bytesField(INITIALIZER, outside === null ? whole(fields) : inside(tensor, outside)));
      continue;
    }
    const values = outside ?? fields.find(({ number }) => number === RAW_DATA)?.content;
    if (values === undefined) throw new Error(`${name} has its values in a form that is not read here`);
    defaults.set(name, fromBytes(values, dims, dtype));
  }
  const changed = model.map(({ number, raw }) =>
    number === MODEL_GRAPH ? bytesField(MODEL_GRAPH, joined(kept)) : raw,
  );
  return { content: joined(changed), inputs, outputs, defaults };
}

/** Return the name of an input or an output. */
export function nameOf({ content }: Field, reader: ProtobufReader): string {
  return text(reader.fields(content, VALUE).find(({ number }) => number === NAME_OF_VALUE));
}

function whole(fields: readonly Field[]): Uint8Array {
  return joined(fields.map(({ raw }) => raw));
}

/** Return a tensor with its values in it, not beside it. */
function inside({ fields }: Initializer, values: Uint8Array): Uint8Array {
  const kept = fields.filter(({ number }) => number !== EXTERNAL_DATA && number !== DATA_LOCATION);
  return joined([whole(kept), bytesField(RAW_DATA, values)]);
}
