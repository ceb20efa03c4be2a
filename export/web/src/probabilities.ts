/** Logits to probabilities, to their logarithms, and to the class that wins. */

/** Return the probabilities (C,) that logits (C,) stand for. */
export function softmax(logits: ArrayLike<number>): Float64Array {
  const most = largest(logits);
  const exp = Float64Array.from(logits, (value) => Math.exp(value - most));
  const sum = exp.reduce((a, b) => a + b, 0);
  return exp.map((value) => value / sum);
}

/** Return the logarithms of the probabilities (C,) that logits (C,) stand for. */
export function logSoftmax(logits: ArrayLike<number>): Float64Array {
  const most = largest(logits);
  const shifted = Float64Array.from(logits, (value) => value - most);
  const sum = Math.log(shifted.reduce((total, value) => total + Math.exp(value), 0));
  return shifted.map((value) => value - sum);
}

/** Return the place of the largest number, the first one if several are. */
export function argmax(row: ArrayLike<number>): number {
  let best = 0;
  for (let k = 1; k < row.length; k++) if ((row[k] ?? 0) > (row[best] ?? 0)) best = k;
  return best;
}

function largest(row: ArrayLike<number>): number {
  return row[argmax(row)] ?? Number.NEGATIVE_INFINITY;
}
