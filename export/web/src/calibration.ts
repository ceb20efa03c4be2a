/**
 * Probabilities that mean what they say: a temperature, from support samples held out in turn, as
 * `edgemeta/estimators/_calibration.py` finds it (Guo et al., "On Calibration of Modern Neural
 * Networks", 2017, with a prior that draws the logarithm towards 0).
 */

import { COLDEST, HOTTEST, MOST_FOLDS, ROUNDS } from "./contract.js";
import { logSoftmax } from "./probabilities.js";

const GOLDEN = (Math.sqrt(5) - 1) / 2;

/**
 * Divide a support set into parts that show all classes alike.
 *
 * @param y (S,) labels 0, 1, ... below `classes`, of each class that is there at least 2.
 * @returns for each part, (S,) which samples to hold out; each sample once in all.
 */
export function folds(y: readonly number[], classes: number): boolean[][] {
  const there = counts(y, classes).filter((samples) => samples > 0);
  const parts = there.reduce((a, b) => Math.min(a, b), MOST_FOLDS);
  const place = new Array<number>(classes).fill(0); // of the next sample within its class
  const part = y.map((label) => {
    const at = place[label] ?? 0;
    place[label] = at + 1;
    return at % parts;
  });
  return Array.from({ length: parts }, (_, fold) => part.map((each) => each === fold));
}

/** Return how many samples there are of each class, (classes,). */
export function counts(y: readonly number[], classes: number): number[] {
  const found = new Array<number>(classes).fill(0);
  for (const label of y) found[label] = (found[label] ?? 0) + 1;
  return found;
}

/**
 * Return the number to divide logits by, the most likely by held-out samples and the prior.
 *
 * @param logits (n, C) of held-out samples.
 * @param y (n,) their labels.
 */
export function findTemperature(logits: readonly Float64Array[], y: readonly number[]): number {
  const cost = (logTemperature: number): number => {
    const temperature = Math.exp(logTemperature);
    let likelihood = 0;
    logits.forEach((row, k) => {
      likelihood += logSoftmax(row.map((value) => value / temperature))[y[k] ?? -1] ?? Number.NaN;
    });
    return logTemperature ** 2 / 2 - likelihood;
  };
  // Golden section search: the cost has a single valley.
  let [low, high] = [Math.log(COLDEST), Math.log(HOTTEST)];
  let [left, right] = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)];
  let [costLeft, costRight] = [cost(left), cost(right)];
  for (let round = 0; round < ROUNDS; round++) {
    if (costLeft < costRight) {
      [high, right, costRight] = [right, left, costLeft];
      left = high - GOLDEN * (high - low);
      costLeft = cost(left);
    } else {
      [low, left, costLeft] = [left, right, costRight];
      right = low + GOLDEN * (high - low);
      costRight = cost(right);
    }
  }
  return Math.exp((low + high) / 2);
}
