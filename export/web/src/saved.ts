/**
 * The file of a classifier, which Python's `FewShotClassifier` reads and writes too: a state file,
 * and beside the state the notes, how clearly each class was told apart, the spare row of a shared
 * head, and the support set, if it was kept. As `edgemeta/estimators/_saved.py`.
 */

import { MOST_KEPT } from "./contract.js";
import { EdgemetaError } from "./errors.js";
import { Decimal, exactly, isInteger, type Json, parseJson, plain, show } from "./json.js";
import type { Learner } from "./learner.js";
import { EXTRA_PREFIX, type Manifest } from "./manifest.js";
import { slicedRows, stackedRows } from "./rows.js";
import type { Runner } from "./runner.js";
import type { Tensors } from "./safetensors.js";
import { checkLabels, type Label } from "./state.js";
import { type Dtype, isFinite, type Tensor } from "./tensor.js";

const LEAD = `${EXTRA_PREFIX}lead`;
const SUPPORT_X = `${EXTRA_PREFIX}support_x`;
const SUPPORT_Y = `${EXTRA_PREFIX}support_y`;
const NOTES = ["labels", "temperature", "samples", "flat"];
const MOST_SAMPLES = 2 ** 32; // of a class

/** Samples that a classifier keeps. */
export interface Support {
  /** (S, *input_shape) */
  readonly x: Tensor;
  /** (S,) numbers of classes. */
  readonly y: readonly number[];
}

/** What a classifier learned. */
export interface Saved {
  /** Of a shared head with one class more: the spare one, the last, which has no samples. */
  readonly learner: Learner;
  /** (C,) */
  readonly labels: readonly Label[];
  /** Of the probabilities; null where they are not calibrated. */
  readonly temperature: number | null;
  /** (C,) samples of each class. */
  readonly samples: readonly number[];
  /** (C,) how far each class's own samples are above the reference; 0 without samples. */
  readonly lead: Float32Array;
  /** null if it was not kept. */
  readonly support: Support | null;
}

/**
 * Return the content of a classifier's file.
 *
 * @throws EdgemetaError of kind "input": the labels cannot be saved.
 */
export async function writeSaved(saved: Saved): Promise<Uint8Array> {
  const { learner, labels, temperature, samples, lead, support } = saved;
  const extra: Tensors = new Map([[LEAD, { data: lead, dims: [lead.length], dtype: "float32" }]]);
  const state = new Map(await learner.state());
  const perClass = perClassOf(learner.runner.manifest);
  for (const { name } of perClass) {
    const rows = present(state, name);
    state.set(name, slicedRows(rows, 0, -1));
    extra.set(EXTRA_PREFIX + name, slicedRows(rows, -1));
  }
  if (support !== null) {
    const data = BigInt64Array.from(support.y, BigInt);
    extra.set(SUPPORT_X, support.x);
    extra.set(SUPPORT_Y, { data, dims: [data.length], dtype: "int64" });
  }
  const ways = (learner.ways ?? 0) - Number(perClass.length > 0);
  const notes = notesText({ labels, temperature, samples });
  return learner.withState(state, ways).save(labels, { extra, notes });
}

/**
 * Read a classifier's file.
 *
 * @throws EdgemetaError of kind "bundle": damaged, of another bundle, the state of a plain learner,
 *   or with labels that are neither texts nor numbers.
 */
export async function readSaved(content: Uint8Array, runner: Runner): Promise<Saved> {
  const { learner, extra, notes } = await runner.loadFile(content);
  try {
    const found = notesOf(notes, learner.ways ?? 0);
    const classes = found.labels.length;
    const named = runner.manifest.labels;
    const isOther = (label: string, k: number) => label !== found.labels[k];
    if (named !== null && (classes !== named.length || named.some(isOther))) {
      throw new Error("other classes than the bundle's");
    }
    const { data } = checked(extra, LEAD, [classes], "float32");
    return {
      ...found,
      learner: await withSpare(learner, extra),
      lead: data as Float32Array,
      support: supportOf(extra, runner.manifest, classes),
    };
  } catch (error) {
    throw new EdgemetaError("bundle", "the state is no file of a classifier", {
      got: error,
      hint: "write it with the classifier's save",
    });
  }
}

/** Return a learner with the spare class again, where the head is shared. */
async function withSpare(learner: Learner, extra: Tensors): Promise<Learner> {
  const state = new Map(await learner.state());
  const perClass = perClassOf(learner.runner.manifest);
  for (const { name, shape, dtype } of perClass) {
    const spare = checked(extra, EXTRA_PREFIX + name, shape, dtype);
    state.set(name, stackedRows(present(state, name), spare));
  }
  return learner.withState(state, (learner.ways ?? 0) + Number(perClass.length > 0));
}

function perClassOf({ state }: Manifest) {
  return state.filter((tensor) => tensor.per_class);
}

type Notes = Pick<Saved, "labels" | "temperature" | "samples">;

function notesText({ labels, temperature, samples }: Notes): string {
  // Python's reader takes what is written with a point alone for a temperature.
  const number = Number.isInteger(temperature) ? `${temperature}.0` : JSON.stringify(temperature);
  const [names, counts] = [JSON.stringify(labels), JSON.stringify(samples)];
  return `{"labels": ${names}, "temperature": ${number}, "samples": ${counts}, "flat": true}`;
}

function notesOf(text: string | null, ways: number): Notes {
  if (text === null) throw new Error("the state of a plain learner, without labels");
  const record = exactly(parseJson(text), "the record", NOTES);
  const labels = labelsOf(record["labels"], ways);
  const { samples, flat } = record;
  if (!Array.isArray(samples) || samples.length !== labels.length || !samples.every(isCount)) {
    throw new Error(`samples ${show(samples)}`);
  }
  if (samples.every((count) => count === 0)) throw new Error(`samples ${show(samples)}`);
  if (typeof flat !== "boolean") throw new Error(`flat ${show(flat)}`);
  return { labels, temperature: temperatureOf(record["temperature"]), samples };
}

function labelsOf(value: Json | undefined, ways: number): readonly Label[] {
  const labels = plain(value ?? null);
  if (!Array.isArray(labels)) throw new Error(`labels ${show(value)}`);
  if (labels.length < 1 || labels.length > ways) {
    throw new Error(`${labels.length} labels for ${ways} classes`);
  }
  const odd = labels.find((label) => typeof label !== "string" && typeof label !== "number");
  if (odd === undefined) return checkLabels(labels);
  throw new Error(`a class called ${JSON.stringify(odd)}, expected texts and numbers alone`);
}

function temperatureOf(value: Json | undefined): number | null {
  if (value === null) return null;
  const found = value instanceof Decimal ? value.value : value;
  if (typeof found === "number" && found > 0 && !isInteger(value, 0)) return found;
  throw new Error(`temperature ${show(value)}`);
}

function isCount(value: Json): value is number {
  return isInteger(value, 0) && value < MOST_SAMPLES;
}

function supportOf(extra: Tensors, manifest: Manifest, classes: number): Support | null {
  if (!extra.has(SUPPORT_X) && !extra.has(SUPPORT_Y)) return null;
  const { input, target } = manifest;
  const x = checked(extra, SUPPORT_X, [null, ...input.shape], input.dtype);
  const y = checked(extra, SUPPORT_Y, [x.dims[0] ?? 0, ...target.shape], target.dtype);
  const labels = Array.from(y.data as BigInt64Array, Number);
  const odd = labels.find((label) => !(label >= 0 && label < classes));
  if (odd !== undefined) throw new Error(`a sample of class ${odd} of ${classes}`);
  return { x, y: labels };
}

/** Return a tensor that is as it should be; null is any number of samples. */
function checked(tensors: Tensors, name: string, shape: readonly (number | null)[], dtype: Dtype) {
  const tensor = present(tensors, name);
  const fits =
    tensor.dims.length === shape.length &&
    shape.every((want, axis) => {
      const size = tensor.dims[axis] ?? 0;
      return want === null ? size >= 1 && size <= MOST_KEPT : size === want;
    });
  if (!fits || tensor.dtype !== dtype) {
    const expected = `${dtype} (${shape.map((size) => size ?? "n").join(", ")})`;
    throw new Error(`${name} ${tensor.dtype} (${tensor.dims.join(", ")}), expected ${expected}`);
  }
  if (!isFinite(tensor)) throw new Error(`${name} that is not finite`);
  return tensor;
}

function present(tensors: Tensors, name: string): Tensor {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`no ${name}`);
  return tensor;
}
