/**
 * Comparing with what a selftest keeps of a result: all of it, or samples of a large one, as
 * `edgemeta/bundle/selftest.py` and `edgemeta/measure/verify.py` do.
 */

import { BLOCK, RMS_SLACK } from "./contract.js";
import { EdgemetaError } from "./errors.js";
import { type Tensors } from "./safetensors.js";
import { count, type Dtype, type Tensor } from "./tensor.js";

/** How far one tensor is from PyTorch: the largest absolute difference, and what it may be. */
export interface Difference {
  readonly tensor: string;
  readonly largest: number;
  readonly limit: number;
}

/** What a runtime may differ: atol + rtol * a tensor's largest value. */
export interface Tolerance {
  readonly atol: number;
  readonly rtol: number;
}

/**
 * Compare a computed result with what is recorded under its name.
 *
 * Of a large one that is one value of each block, and the blocks' root mean squares: these have the
 * limit that every value has, by the triangle inequality.
 *
 * @throws EdgemetaError of kind "bundle": nothing is recorded, or it is damaged.
 */
export function compare(
  tensor: string,
  got: Tensor,
  recorded: Tensors,
  { atol, rtol }: Tolerance,
): Difference {
  const whole = recorded.has(tensor);
  const values = whole
    ? part(recorded, tensor, got.dims, got.dtype)
    : part(recorded, `${tensor}.values`, [blocksOf(got)], "float32");
  const scale = largestOf(values);
  const largest = whole
    ? apart(got.data, values)
    : compareSamples(tensor, got, recorded, values, scale);
  return { tensor, largest, limit: atol + rtol * scale };
}

function compareSamples(
  name: string,
  got: Tensor,
  recorded: Tensors,
  values: Numbers,
  scale: number,
): number {
  const blocks = blocksOf(got);
  const places = part(recorded, `${name}.places`, [blocks], "int32");
  const rms = part(recorded, `${name}.rms`, [blocks], "float32");
  const ours = got.data as Float32Array;
  const chosen = new Float64Array(blocks);
  const means = new Float64Array(blocks);
  for (let k = 0; k < blocks; k++) {
    const [place, mean] = [Number(places[k]), Number(rms[k])];
    const block = ours.subarray(k * BLOCK, (k + 1) * BLOCK);
    if (Math.floor(place / BLOCK) !== k || place >= ours.length) {
      throw unfit(name, `place ${place} in block ${k}`);
    }
    if (!(mean >= 0 && mean <= scale * (1 + RMS_SLACK)) || !Number.isFinite(Number(values[k]))) {
      throw unfit(name, `block ${k} with root mean square ${mean} and a largest value of ${scale}`);
    }
    chosen[k] = ours[place] ?? NaN;
    means[k] = Math.sqrt(block.reduce((sum, value) => sum + value * value, 0) / block.length);
  }
  return Math.max(apart(chosen, values), apart(means, rms));
}

type Numbers = Tensor["data"];

function blocksOf({ dims }: Tensor): number {
  return Math.ceil(count(dims) / BLOCK);
}

function part(recorded: Tensors, name: string, dims: readonly number[], dtype: Dtype): Numbers {
  const found = recorded.get(name);
  if (found === undefined) throw unfit(name, "no such tensor");
  if (found.dtype !== dtype || found.dims.join() !== dims.join()) {
    throw unfit(name, `${found.dtype} (${found.dims.join(", ")})`);
  }
  return found.data;
}

function unfit(name: string, got: string): EdgemetaError {
  return new EdgemetaError("bundle", `the selftest does not fit the bundle: ${name}`, { got });
}

/** Return the largest absolute difference; what is no number is as far away as can be. */
function apart(ours: ArrayLike<number | bigint>, theirs: ArrayLike<number | bigint>): number {
  let largest = 0;
  for (let k = 0; k < ours.length; k++) {
    const difference = Math.abs(Number(ours[k]) - Number(theirs[k]));
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Infinity : difference;
  }
  return largest;
}

function largestOf(values: ArrayLike<number | bigint>): number {
  let largest = 0;
  for (let k = 0; k < values.length; k++) largest = Math.max(largest, Math.abs(Number(values[k])));
  return largest;
}
