/**
 * A graph with a state baked in: constants that onnxruntime folds, packs and lays out once, as
 * `edgemeta/bundle/bake.py` makes it. A state that is an input is none of that.
 */

import { MAX_FIELDS } from "./contract.js";
import { INPUT, KEPT, KEPT_OF_GRAPH, nameOf, type PreparedGraph } from "./graph.js";
import { initializerField } from "./initializer.js";
import { MODEL_GRAPH } from "./onnx-check.js";
import { bytesField, ProtobufReader } from "./protobuf.js";
import { joined } from "./safetensors.js";
import type { Tensor } from "./tensor.js";

/**
 * Make inputs of a graph its constants.
 *
 * @param graph as `prepare` made it.
 * @param values by name, each of an input.
 * @throws Error where the graph lacks one of the inputs.
 */
export function bake(graph: PreparedGraph, values: ReadonlyMap<string, Tensor>): PreparedGraph {
  const missing = [...values.keys()].filter((name) => !graph.inputs.includes(name));
  if (missing.length > 0) throw new Error(`no input is called ${missing.join(", ")}`);
  const reader = new ProtobufReader(2 * MAX_FIELDS);
  const model = reader.fields(graph.content, KEPT).map(({ number, content, raw }) => {
    if (number !== MODEL_GRAPH) return raw;
    const kept = reader
      .fields(content, KEPT_OF_GRAPH)
      .filter((field) => field.number !== INPUT || !values.has(nameOf(field, reader)));
    const constants = [...values].map(([name, tensor]) => initializerField(name, tensor));
    return bytesField(MODEL_GRAPH, joined([...kept.map((field) => field.raw), ...constants]));
  });
  const inputs = graph.inputs.filter((name) => !values.has(name));
  return { ...graph, content: joined(model), inputs };
}
