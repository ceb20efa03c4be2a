/**
 * How familiar a sample is: as much as those that a class was learned from, or like none of them?
 *
 * What counts is how far the winning class is above the *spare* class, which was adapted to without
 * samples, in proportion to how far above it is on its own samples. A head of fixed width has no
 * spare class: there it is the mean of all. The same numbers as `edgemeta/estimators/_familiarity.py`.
 */

import { counts } from "./calibration.js";
import type { Samples } from "./inputs.js";
import type { Learner } from "./learner.js";
import { argmax } from "./probabilities.js";

/** Logits of samples, and what they are compared with. */
export interface Compared {
  /** (Q, C) of the classes. */
  readonly logits: readonly Float64Array[];
  /** (Q,) the spare class's logit, or the mean over a head of fixed width. */
  readonly reference: Float64Array;
}

/**
 * Return how familiar samples are, (Q,); 1 is as familiar as the support samples.
 *
 * @param own (C,) what `ownLead` returned.
 */
export function familiarity({ logits, reference }: Compared, own: Float32Array): Float64Array {
  return Float64Array.from(logits, (row, k) => {
    const winner = argmax(row);
    const scale = own[winner] ?? 0;
    // A class without samples, or one that its own samples do not win, is familiar with nothing.
    return scale > 0 ? ((row[winner] ?? 0) - (reference[k] ?? 0)) / scale : 0;
  });
}

/**
 * Return the logits of samples, and what to compare them with.
 *
 * @param learner of a shared head with the spare class, the last one.
 * @param classes how many there are without it.
 */
export async function compared(learner: Learner, x: Samples, classes: number): Promise<Compared> {
  const rows = await learner.predictLogits(x);
  const { anyWays } = learner.runner.manifest;
  const reference = Float64Array.from(rows, (row) =>
    anyWays ? (row[classes] ?? Number.NaN) : row.reduce((sum, value) => sum + value, 0) / row.length,
  );
  return { logits: rows.map((row) => Float64Array.from(row.subarray(0, classes))), reference };
}

/** Return how far each class's samples are above the reference, (C,); 0 without samples. */
export async function ownLead(
  learner: Learner,
  x: Samples,
  y: readonly number[],
  classes: number,
): Promise<Float32Array> {
  const { logits, reference } = await compared(learner, x, classes);
  const sums = new Float64Array(classes);
  y.forEach((label, k) => {
    sums[label] = (sums[label] ?? 0) + ((logits[k]?.[label] ?? 0) - (reference[k] ?? 0));
  });
  const samples = counts(y, classes);
  return Float32Array.from(sums, (sum, k) => sum / Math.max(samples[k] ?? 0, 1));
}

/**
 * Return leads (C,) in which classes without samples have the mean of the others: where a bundle
 * names its classes, these are predicted, too.
 *
 * @param lead (C,) what `ownLead` returned.
 * @param samples (C,) of each class; of one of them there are some.
 */
export function leadForAll(lead: Float32Array, samples: readonly number[]): Float32Array {
  const there = lead.filter((_, k) => (samples[k] ?? 0) > 0);
  const mean = there.reduce((sum, value) => sum + value, 0) / there.length;
  return lead.map((value, k) => ((samples[k] ?? 0) > 0 ? value : mean));
}
