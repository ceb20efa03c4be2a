/** What a bundle says of itself; the contract is `edgemeta/bundle/manifest.py`. */

import * as contract from "./contract.js";
import { EdgemetaError } from "./errors.js";
import {
  exactly,
  hasControl,
  isInteger,
  isObject,
  type Json,
  type JsonObject,
  parseObject,
  plain,
  show,
  sizes,
} from "./json.js";
import { bytesOf, count, type Dtype, isDtype } from "./tensor.js";
import { encode } from "./utf8.js";

export const MANIFEST = "manifest.json";
export const ADAPT = "adapt.onnx";
export const PREDICT = "predict.onnx";
export const INIT = "init.bin";
export const SELFTEST = "selftest.safetensors";
/** The files whose hashes the manifest holds. */
export const PAYLOAD = [ADAPT, PREDICT, INIT, SELFTEST] as const;
export type Payload = (typeof PAYLOAD)[number];

/** Begins the names of tensors that a state file has beside the state. */
export const EXTRA_PREFIX = "edgemeta.";
const MAX_BYTES: Readonly<Record<Payload, number>> = {
  [ADAPT]: contract.MAX_GRAPH_BYTES,
  [PREDICT]: contract.MAX_GRAPH_BYTES,
  [INIT]: contract.MAX_INIT_BYTES,
  [SELFTEST]: contract.MAX_SELFTEST_BYTES,
};
const SEAL = "seal"; // of all other fields; Python looks at it
const LABELS = "labels";
const OPTIONAL = [SEAL, LABELS];
const FIELDS = [
  ...["task", "ways", "input", "target", "algorithm", "inner_steps", "least_support", "state"],
  ...["opset", "ops", "files", "parity", "adapted_parameters", "flops_per_step"],
  ...["peak_memory_bytes", "versions", "training", "tuned", "format_version"],
];
const COUNTS = [
  ...["inner_steps", "opset", "adapted_parameters", "flops_per_step", "peak_memory_bytes"],
];

/** Shape, without the sample dimension, and dtype of one sample or one target. */
export interface TensorSpec {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
}

/** One tensor of the learner's state. */
export interface StateTensor extends TensorSpec {
  /** Its torch name, such as "conv1.weight". */
  readonly name: string;
  readonly kind: "parameter" | "buffer";
  /** Whether axis 0 counts the classes of the task; the init has one row. */
  readonly per_class: boolean;
}

export interface FileRecord {
  readonly size: number;
  readonly sha256: string;
}

/** What a runner reads of `manifest.json`; `record` is all of it. */
export interface Manifest {
  readonly task: "classification" | "regression";
  /** Classes of the head; null for regression. With a shared head those of the training. */
  readonly ways: number | null;
  readonly input: TensorSpec;
  readonly target: TensorSpec;
  /** The number of steps that `adapt` takes unless told otherwise. */
  readonly inner_steps: number;
  /** Samples that an adaptation needs. */
  readonly least_support: number;
  readonly state: readonly StateTensor[];
  /** ONNX opset of both graphs. */
  readonly opset: number;
  /** How far a runtime may be from PyTorch: atol + rtol * a tensor's largest value. */
  readonly parity: { readonly atol: number; readonly rtol: number };
  readonly files: Readonly<Record<Payload, FileRecord>>;
  /** The types of ops that each graph has. */
  readonly ops: Readonly<Record<typeof ADAPT | typeof PREDICT, readonly string[]>>;
  /**
   * Names of all classes, by class index, where class k means the same in every task, so that the init
   * predicts them before any adaptation; else null.
   */
  readonly labels: readonly string[] | null;
  /** Whether the head is a shared one, which takes any number of classes. */
  readonly anyWays: boolean;
  readonly record: Readonly<Record<string, unknown>>;
}

/**
 * Read and check the content of a `manifest.json`.
 *
 * @throws EdgemetaError of kind "bundle": no JSON, an unknown version, or it breaks the contract.
 */
export function parseManifest(content: Uint8Array, where: string = MANIFEST): Manifest {
  if (content.length > contract.MAX_MANIFEST_BYTES) {
    throw new EdgemetaError("bundle", `${where} is too large`, {
      got: `${content.length} bytes`,
      expected: `at most ${contract.MAX_MANIFEST_BYTES}`,
    });
  }
  let record: JsonObject;
  try {
    record = parseObject(content);
  } catch (error) {
    throw new EdgemetaError("bundle", `${where} is not a JSON object`, { got: error });
  }
  if (record["format_version"] !== contract.FORMAT_VERSION) {
    throw new EdgemetaError("bundle", `${where} has an unknown format_version`, {
      got: show(record["format_version"]),
      expected: contract.FORMAT_VERSION,
      hint: "install the edgemeta that made this bundle, or export it again",
    });
  }
  try {
    return checked(record);
  } catch (error) {
    throw new EdgemetaError("bundle", `${where} breaks the contract`, {
      got: error,
      hint: "export the bundle again",
    });
  }
}

/** Return the shape of a state tensor in the state of a task with `ways` classes. */
export function shapeAt(tensor: StateTensor, ways: number | null): readonly number[] {
  return tensor.per_class ? [ways ?? 1, ...tensor.shape.slice(1)] : tensor.shape;
}

/** Return the most classes that a task can have; null for regression. */
export function mostWays(manifest: Manifest): number | null {
  return manifest.anyWays ? contract.MAX_WAYS : manifest.ways;
}

/** Return the name of the output of `predict.onnx`. */
export function predictionName(manifest: Manifest): "logits" | "output" {
  return manifest.task === "classification" ? "logits" : "output";
}

function checked(record: JsonObject): Manifest {
  exactly(record, "it", [...FIELDS, ...OPTIONAL.filter((name) => Object.hasOwn(record, name))]);
  const { task, ways, least_support } = record;
  if (task !== "classification" && task !== "regression") throw new Error(`task ${show(task)}`);
  const isWays = task === "regression" ? ways === null : isInteger(ways, 1);
  if (!isWays || (ways as number) > contract.MAX_WAYS) {
    throw new Error(`ways ${show(ways)} for ${task}`);
  }
  if (!isInteger(least_support, 1)) throw new Error(`least_support ${show(least_support)}`);
  for (const name of COUNTS) {
    if (!isInteger(record[name], 0)) throw new Error(`${name} ${show(record[name])}`);
  }
  const { algorithm, versions, training, tuned } = record;
  if (!isObject(algorithm)) throw new Error(`algorithm ${show(algorithm)}`);
  if (!isObject(versions) || !areTexts(Object.values(versions))) {
    throw new Error(`versions ${show(versions)}`);
  }
  for (const [name, value] of Object.entries({ training, tuned })) {
    if (value !== null && !isObject(value)) throw new Error(`${name} ${show(value)}`);
  }
  const [input, target] = [sample(record, "input"), sample(record, "target")];
  const isLabel = target.dtype === "int64" && target.shape.length === 0;
  if (task === "classification" ? !isLabel : target.dtype !== "float32") {
    throw new Error(`a target ${show(record["target"])} for ${task}`);
  }
  const files = fileRecords(record["files"]);
  const state = stateTensors(record["state"], ways as number | null, files[INIT].size);
  const anyWays = state.some((tensor) => tensor.per_class);
  return {
    ...{ task, ways: ways as number | null, input, target, least_support, state, files },
    labels: Object.hasOwn(record, LABELS) ? classLabels(record[LABELS], ways, anyWays) : null,
    ...{ inner_steps: record["inner_steps"] as number, opset: record["opset"] as number },
    ...{ ops: opTypes(record["ops"]), parity: tolerance(record["parity"]) },
    anyWays,
    record: plain(record) as Record<string, unknown>,
  };
}

function classLabels(value: Json | undefined, ways: Json | undefined, anyWays: boolean): string[] {
  if (!areTexts(value)) throw new Error(`labels ${show(value)}`);
  if (value.length !== ways) throw new Error(`${value.length} labels for ${show(ways)} ways`);
  if (new Set(value).size !== value.length) throw new Error(`a label twice: ${show(value)}`);
  if (anyWays) throw new Error("labels of a shared head, whose classes are those of a task");
  return value;
}

function opTypes(value: Json | undefined): Manifest["ops"] {
  const { [ADAPT]: adapt, [PREDICT]: predict } = exactly(value, "ops", [ADAPT, PREDICT]);
  if (!areTexts(adapt) || !areTexts(predict)) throw new Error(`ops ${show(value)}`);
  return { [ADAPT]: adapt, [PREDICT]: predict };
}

function areTexts(value: Json | undefined): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

function tolerance(value: Json | undefined): Manifest["parity"] {
  const { atol, rtol } = (plain(value ?? null) ?? {}) as Record<string, unknown>;
  if (typeof atol !== "number" || typeof rtol !== "number" || !(atol > 0) || !(rtol >= 0)) {
    throw new Error(`parity ${show(value)}`);
  }
  return { atol, rtol };
}

function sample(record: JsonObject, name: string): TensorSpec {
  const { shape, dtype } = exactly(record[name], name, ["shape", "dtype"]);
  const found = spec(shape, dtype, name);
  if (count(found.shape) > contract.MAX_SAMPLE_NUMBERS) {
    throw new Error(`${name} of shape ${show(shape)}`);
  }
  return found;
}

function spec(shape: Json | undefined, dtype: Json | undefined, name: string): TensorSpec {
  if (!isDtype(dtype)) throw new Error(`${name} of dtype ${show(dtype)}`);
  return { shape: sizes(shape, name), dtype };
}

function fileRecords(value: Json | undefined): Record<Payload, FileRecord> {
  const files = exactly(value, "files", PAYLOAD);
  const found = PAYLOAD.map((name): [Payload, FileRecord] => {
    const { size, sha256 } = exactly(files[name], name, ["size", "sha256"]);
    if (!isInteger(size, 0) || size > MAX_BYTES[name]) {
      throw new Error(`${name} of ${show(size)} bytes`);
    }
    if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) {
      throw new Error(`sha256 ${show(sha256)}`);
    }
    return [name, { size, sha256 }];
  });
  return Object.fromEntries(found) as Record<Payload, FileRecord>;
}

function stateTensors(value: Json | undefined, ways: number | null, room: number): StateTensor[] {
  const most = contract.MAX_STATE_TENSORS;
  if (!Array.isArray(value) || value.length === 0 || value.length > most) {
    throw new Error("no state, or too much of it");
  }
  const found = value.map((entry) => stateTensor(entry, ways));
  if (new Set(found.map((tensor) => tensor.name)).size !== found.length) {
    throw new Error("two state tensors of one name");
  }
  const bytes = found.reduce((sum, { shape, dtype }) => sum + bytesOf(shape, dtype), 0);
  if (bytes > room) throw new Error(`a state of ${bytes} bytes, more than ${INIT} has`);
  return found;
}

function stateTensor(value: Json, ways: number | null): StateTensor {
  const keys = ["name", "shape", "dtype", "kind", "per_class"];
  const { name, kind, per_class, shape, dtype } = exactly(value, "a state tensor", keys);
  if (typeof name !== "string" || name === "" || hasControl(name)) {
    throw new Error(`the name of state tensor ${show(name)}`);
  }
  const isTaken = contract.RESERVED.has(name) || name.startsWith(EXTRA_PREFIX);
  if (isTaken || encode(name).length > contract.MAX_NAME) throw new Error(`state tensor ${name}`);
  if (kind !== "parameter" && kind !== "buffer") throw new Error(`${name} of kind ${show(kind)}`);
  if (typeof per_class !== "boolean") throw new Error(`${name} with per_class ${show(per_class)}`);
  const tensor = { name, kind, per_class, ...spec(shape, dtype, name) } as const;
  if (per_class && (ways === null || tensor.shape[0] !== 1)) {
    throw new Error(`${name} is per_class, with shape ${show(shape)}`);
  }
  return tensor;
}
