/** Rows of tensors: samples of a batch, classes of a head. */

import { joined } from "./safetensors.js";
import { fromBytes, type Tensor, toBytes } from "./tensor.js";

/** Return the rows from `begin` up to `end`; negative places count from the end. */
export function slicedRows(tensor: Tensor, begin: number, end?: number): Tensor {
  const count = tensor.dims[0] ?? 0;
  return chosenRows(tensor, Array.from({ length: count }, (_, k) => k).slice(begin, end));
}

/** Return the rows at these places, in this order. */
export function chosenRows(tensor: Tensor, places: readonly number[]): Tensor {
  const [count = 0, ...row] = tensor.dims;
  const bytes = toBytes(tensor);
  const size = count === 0 ? 0 : bytes.length / count;
  const parts = places.map((place) => bytes.subarray(place * size, (place + 1) * size));
  return fromBytes(joined(parts), [places.length, ...row], tensor.dtype);
}

/** Return the rows of one tensor, and behind them those of another. */
export function stackedRows(first: Tensor, second: Tensor): Tensor {
  const [count = 0, ...row] = first.dims;
  const bytes = joined([toBytes(first), toBytes(second)]);
  return fromBytes(bytes, [count + (second.dims[0] ?? 0), ...row], first.dtype);
}
