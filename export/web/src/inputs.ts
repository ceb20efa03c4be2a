/** What comes in from outside, checked in one place: samples, labels, targets, numbers. */

import { MAX_LR_SCALE, MAX_STEPS } from "./contract.js";
import { EdgemetaError } from "./errors.js";
import { type Manifest, mostWays, type TensorSpec } from "./manifest.js";
import { count, DTYPES, type Dtype, isFinite, type Tensor, type TypedArray } from "./tensor.js";

/** The numbers of one sample, or of several one after another, in C order. */
export type Numbers = TypedArray | readonly number[];
/** n samples: all their numbers one after another, or a list with those of each sample. */
export type Samples = Numbers | readonly Numbers[];

/**
 * Return samples as the graph wants them: (n, ...spec.shape) of spec.dtype.
 *
 * Integers of another width pass if their values fit, floats of another width if they stay finite,
 * and integers for floats, but never floats for integers: scaled images in place of raw ones are the
 * commonest mistake.
 *
 * @param name how errors call them.
 * @throws EdgemetaError of kind "input": none, of another size or type, or not finite.
 */
export function checkSamples(name: string, x: Samples, spec: TensorSpec): Tensor {
  const size = count(spec.shape);
  const shape = `(n${spec.shape.map((n) => `, ${n}`).join("")}) ${spec.dtype}`;
  const numbers = isList(x) ? flattened(name, x, size, shape) : x;
  const samples = numbers.length / size;
  if (numbers.length === 0 || !Number.isInteger(samples)) {
    throw new EdgemetaError("input", `${name} has the wrong size`, {
      got: `${numbers.length} numbers`,
      expected: `a multiple of ${size}: ${shape}`,
      hint: "pass samples as the model was trained on them",
    });
  }
  return { data: cast(name, numbers, spec.dtype), dims: [samples, ...spec.shape], dtype: spec.dtype };
}

/**
 * Return a whole support set as the graph wants it, for a task of at most `ways` classes.
 *
 * @param y labels 0, 1, ... below the ways, or regression targets as `x`.
 * @param name errors call them `name`_x and `name`_y.
 */
export function checkSupport(
  x: Samples,
  y: Samples,
  manifest: Manifest,
  ways: number | null,
  name = "support",
): { x: Tensor; y: Tensor } {
  const samples = checkSamples(`${name}_x`, x, manifest.input);
  const found = samples.dims[0] ?? 0;
  if (found < manifest.least_support) {
    throw new EdgemetaError("input", `${name}_x has too few samples`, {
      got: found,
      expected: `at least ${manifest.least_support}`,
      hint: "the model's batch norm needs more than one value per channel",
    });
  }
  const targets =
    manifest.task === "classification"
      ? checkLabels(`${name}_y`, y, ways ?? 0)
      : checkSamples(`${name}_y`, y, manifest.target);
  if (targets.dims[0] !== found) {
    throw new EdgemetaError("input", `${name}_y does not fit ${name}_x`, {
      got: targets.dims[0],
      expected: `${found}, one for each sample`,
    });
  }
  return { x: samples, y: targets };
}

export function checkSteps(steps: number): number {
  return checkNumber("steps", steps, 0, MAX_STEPS, true);
}

export function checkLrScale(lrScale: number): number {
  return checkNumber("lrScale", lrScale, 0, MAX_LR_SCALE, false);
}

/** Return the number of classes of a task, at least `least`. */
export function checkWays(ways: number, manifest: Manifest, least = 2): number {
  const most = mostWays(manifest);
  if (most === null) {
    throw new EdgemetaError("input", "ways is for classification", { got: ways });
  }
  return checkNumber("ways", ways, least, most, true);
}

function checkNumber(name: string, value: number, least: number, most: number, whole: boolean) {
  if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
    throw new EdgemetaError("input", `${name} is out of range`, {
      got: value,
      expected: `${whole ? "an integer in " : ""}${least}..${most}`,
    });
  }
  return value;
}

function checkLabels(name: string, y: Samples, ways: number): Tensor {
  const labels = Array.from(y as ArrayLike<number | bigint>, Number);
  const wrong = labels.find((label) => !Number.isInteger(label) || label < 0 || label >= ways);
  if (wrong !== undefined || labels.length === 0) {
    throw new EdgemetaError("input", `${name} has labels outside the task's classes`, {
      got: wrong ?? "no labels",
      expected: `integers 0..${ways - 1}`,
      hint: "number the classes from 0",
    });
  }
  return { data: BigInt64Array.from(labels, BigInt), dims: [labels.length], dtype: "int64" };
}

function isList(x: Samples): x is readonly Numbers[] {
  return Array.isArray(x) && typeof x[0] === "object";
}

/** Return the numbers of all samples one after another, in the type of the first. */
function flattened(name: string, x: readonly Numbers[], size: number, shape: string): Numbers {
  const odd = x.find((sample) => sample.length !== size);
  if (odd !== undefined) {
    throw new EdgemetaError("input", `${name} has a sample of the wrong size`, {
      got: `${odd.length} numbers`,
      expected: `${size} of each sample: ${shape}`,
    });
  }
  const floats = x.some((each) => each instanceof Float32Array || each instanceof Float64Array);
  const all = x.flatMap((sample) => Array.from(sample as ArrayLike<number | bigint>, Number));
  return floats ? Float64Array.from(all) : all;
}

function cast(name: string, numbers: Numbers, dtype: Dtype): TypedArray {
  const { array: Kind, bytes } = DTYPES[dtype];
  if (numbers instanceof Kind && dtype !== "bool") return finite(name, numbers, dtype);
  if (dtype === "float16") {
    throw new EdgemetaError("input", `${name} has the wrong type`, {
      got: "numbers",
      expected: "a Uint16Array of the bits of half floats",
    });
  }
  const values = Array.from(numbers as ArrayLike<number | bigint>, Number);
  if (dtype === "float32" || dtype === "float64") return finite(name, filled(values, dtype), dtype);
  const floats = numbers instanceof Float32Array || numbers instanceof Float64Array;
  const wide = 2 ** (8 * bytes);
  const signed = dtype.startsWith("int");
  const [low, high] =
    dtype === "bool" ? [0, 1] : signed ? [-wide / 2, wide / 2 - 1] : [0, wide - 1];
  const wrong = values.find((value) => !Number.isInteger(value) || value < low || value > high);
  if (floats || wrong !== undefined) {
    throw new EdgemetaError("input", `${name} has values that ${dtype} cannot hold`, {
      got: floats ? "floats" : wrong,
      expected: `integers ${low}..${high}`,
      hint: "pass raw samples: scaling happens inside the bundle",
    });
  }
  return filled(values, dtype);
}

function filled(values: readonly number[], dtype: Dtype): TypedArray {
  const { array: Kind, bytes } = DTYPES[dtype];
  const data: TypedArray = new Kind(new ArrayBuffer(bytes * values.length));
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) data.set(values.map(BigInt));
  else data.set(values);
  return data;
}

function finite(name: string, data: TypedArray, dtype: Dtype): TypedArray {
  if (!isFinite({ data, dims: [data.length], dtype })) {
    throw new EdgemetaError("input", `${name} holds values that are not finite`, {
      hint: "drop or repair these samples",
    });
  }
  return data;
}
