/** What a bundle says of itself; the contract is `edgemeta/bundle/manifest.py`. */

import { EdgemetaError } from "./errors.js";
import { count, DTYPES, type Dtype, isDtype } from "./tensor.js";

export const FORMAT_VERSION = 1;
export const MANIFEST = "manifest.json";
export const ADAPT = "adapt.onnx";
export const PREDICT = "predict.onnx";
export const INIT = "init.bin";
export const SELFTEST = "selftest.safetensors";
/** The files whose hashes the manifest holds. */
export const PAYLOAD = [ADAPT, PREDICT, INIT, SELFTEST] as const;
export type Payload = (typeof PAYLOAD)[number];

export const MAX_WAYS = 65_536;
export const EXTRA_PREFIX = "edgemeta.";
/** Names that a state tensor cannot have. */
const RESERVED = new Set(
  "support_x support_y steps lr_scale ways losses query_x logits output".split(" "),
);
// Real ones have a few kB, a few MB, some MB: what is larger was made to fill the memory.
export const MAX_MANIFEST_BYTES = 1 << 19;
const MAX_BYTES: Record<Payload, number> = {
  [ADAPT]: 2 ** 26,
  [PREDICT]: 2 ** 26,
  [INIT]: 2 ** 31,
  [SELFTEST]: 2 ** 28,
};
const MAX_SAMPLE_NUMBERS = 2 ** 26;
const MAX_STATE_TENSORS = 4096;
const MAX_NAME = 500;
const MAX_AXES = 16;

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
  readonly files: Readonly<Record<Payload, FileRecord>>;
  /** The types of ops that each graph has. */
  readonly ops: Readonly<Record<typeof ADAPT | typeof PREDICT, readonly string[]>>;
  /** Whether the head is a shared one, which takes any number of classes. */
  readonly anyWays: boolean;
  readonly record: Readonly<Record<string, unknown>>;
}

/**
 * Read and check the content of a `manifest.json`.
 *
 * @throws EdgemetaError of kind "bundle": no JSON, an unknown version, or it breaks the contract.
 */
export function parseManifest(content: Uint8Array, where: string): Manifest {
  let record: Record<string, unknown>;
  try {
    record = object(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content)), where);
  } catch (error) {
    throw new EdgemetaError("bundle", `${where} is not a JSON object`, { got: error });
  }
  if (record["format_version"] !== FORMAT_VERSION) {
    throw new EdgemetaError("bundle", `${where} has an unknown format_version`, {
      got: JSON.stringify(record["format_version"]),
      expected: FORMAT_VERSION,
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
  return manifest.anyWays ? MAX_WAYS : manifest.ways;
}

/** Return the name of the output of `predict.onnx`. */
export function predictionName(manifest: Manifest): "logits" | "output" {
  return manifest.task === "classification" ? "logits" : "output";
}

function checked(record: Record<string, unknown>): Manifest {
  const { task, ways } = record;
  if (task !== "classification" && task !== "regression") throw new Error(`task ${show(task)}`);
  if (task === "regression" ? ways !== null : !isSize(ways, 1) || ways > MAX_WAYS) {
    throw new Error(`ways ${show(ways)} for ${task}`);
  }
  const { inner_steps, least_support } = record;
  if (!isSize(inner_steps, 0)) throw new Error(`inner_steps ${show(inner_steps)}`);
  if (!isSize(least_support, 1)) throw new Error(`least_support ${show(least_support)}`);
  const [input, target] = [spec(record["input"], "input"), spec(record["target"], "target")];
  const files = fileRecords(record["files"]);
  const state = stateTensors(record["state"], ways as number | null, files[INIT].size);
  return {
    ...{ task, ways: ways as number | null, input, target, inner_steps, least_support },
    ...{ state, files, record, anyWays: state.some((tensor) => tensor.per_class) },
    ops: opTypes(record["ops"]),
  };
}

function opTypes(value: unknown): Manifest["ops"] {
  const { [ADAPT]: adapt, [PREDICT]: predict } = object(value, "ops");
  if (!areTexts(adapt) || !areTexts(predict)) throw new Error(`ops ${show(value)}`);
  return { [ADAPT]: adapt, [PREDICT]: predict };
}

function areTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

function spec(value: unknown, name: string): TensorSpec {
  const { shape, dtype } = object(value, name);
  if (!isDtype(dtype)) throw new Error(`${name} of dtype ${show(dtype)}`);
  const found = { shape: sizes(shape, name), dtype };
  if (count(found.shape) > MAX_SAMPLE_NUMBERS) throw new Error(`${name} of shape ${show(shape)}`);
  return found;
}

function fileRecords(value: unknown): Record<Payload, FileRecord> {
  const files = object(value, "files");
  if (Object.keys(files).sort().join() !== [...PAYLOAD].sort().join()) {
    throw new Error(`files ${Object.keys(files).join(", ")}`);
  }
  const found = PAYLOAD.map((name): [Payload, FileRecord] => {
    const { size, sha256 } = object(files[name], name);
    if (!isSize(size, 0) || size > MAX_BYTES[name]) throw new Error(`${name} of ${show(size)} bytes`);
    if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) {
      throw new Error(`sha256 ${show(sha256)}`);
    }
    return [name, { size, sha256 }];
  });
  return Object.fromEntries(found) as Record<Payload, FileRecord>;
}

function stateTensors(value: unknown, ways: number | null, room: number): StateTensor[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_STATE_TENSORS) {
    throw new Error("no state, or too much of it");
  }
  const found = value.map((entry: unknown): StateTensor => {
    const { name, kind, per_class, ...rest } = object(entry, "a state tensor");
    if (typeof name !== "string" || name === "" || name.length > MAX_NAME || /\p{C}/u.test(name)) {
      throw new Error(`the name of state tensor ${show(name)}`);
    }
    if (RESERVED.has(name) || name.startsWith(EXTRA_PREFIX)) throw new Error(`state tensor ${name}`);
    if (kind !== "parameter" && kind !== "buffer") throw new Error(`${name} of kind ${show(kind)}`);
    if (typeof per_class !== "boolean") throw new Error(`${name} with per_class ${show(per_class)}`);
    const tensor = { name, kind, per_class, ...spec(rest, name) } as const;
    if (per_class && (ways === null || tensor.shape[0] !== 1)) {
      throw new Error(`${name} is per_class, with shape ${show(tensor.shape)}`);
    }
    return tensor;
  });
  if (new Set(found.map((tensor) => tensor.name)).size !== found.length) {
    throw new Error("two state tensors of one name");
  }
  const bytes = found.reduce((sum, t) => sum + count(t.shape) * DTYPES[t.dtype].bytes, 0);
  if (bytes > room) throw new Error(`a state of ${bytes} bytes, more than ${INIT} has`);
  return found;
}

function object(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${name} is no object`);
  }
  return value as Record<string, unknown>;
}

function sizes(value: unknown, name: string): readonly number[] {
  if (!Array.isArray(value) || value.length > MAX_AXES || !value.every((n) => isSize(n, 0))) {
    throw new Error(`${name} of shape ${show(value)}`);
  }
  return value as number[];
}

function isSize(value: unknown, least: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least;
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? "undefined";
}
