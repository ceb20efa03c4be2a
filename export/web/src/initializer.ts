/** Tensors as graphs have them. */

import { DATA_TYPE, DIMS, INITIALIZER, NAME, RAW_DATA } from "./onnx-check.js";
import { bytesField, varintField } from "./protobuf.js";
import { joined } from "./safetensors.js";
import { DTYPES, type Tensor, toBytes } from "./tensor.js";
import { encode } from "./utf8.js";

/** Return the field of a graph with a constant of this name. */
export function initializerField(name: string, tensor: Tensor): Uint8Array {
  const fields = [
    ...tensor.dims.map((size) => varintField(DIMS, size)),
    varintField(DATA_TYPE, DTYPES[tensor.dtype].onnx),
    bytesField(NAME, encode(name)),
    bytesField(RAW_DATA, toBytes(tensor)),
  ];
  return bytesField(INITIALIZER, joined(fields));
}
