/** Protobuf's wire format, as far as ONNX files need: https://protobuf.dev/programming-guides/encoding. */

import { joined } from "./safetensors.js";

export const VARINT = 0;
export const BYTES = 2;
const FIXED: Readonly<Record<number, number>> = { 1: 8, 5: 4 }; // bytes, by wire type

/** A field of a message. */
export interface Field {
  readonly number: number;
  readonly wire: number;
  /** The content of a BYTES field; empty for others. */
  readonly bytes: Uint8Array;
  /** The value of a VARINT field below 2^53; 0 for others. */
  readonly value: number;
  /** All bytes of the field, its tag included. */
  readonly raw: Uint8Array;
}

/**
 * Return the fields of a message in order.
 *
 * @throws Error where it is cut short or has a wire type that ONNX has no use for.
 */
export function fields(message: Uint8Array): Field[] {
  const found: Field[] = [];
  let at = 0;
  while (at < message.length) {
    const begin = at;
    const tag = varint(message, at);
    const [number, wire] = [Math.floor(tag.value / 8), tag.value % 8];
    at = tag.end;
    let [value, bytes] = [0, message.subarray(0, 0)];
    if (wire === VARINT) {
      ({ value, end: at } = varint(message, at));
    } else if (wire === BYTES) {
      const size = varint(message, at);
      at = size.end + size.value;
      bytes = message.subarray(size.end, at);
    } else {
      at += FIXED[wire] ?? Number.NaN;
    }
    if (!(at <= message.length) || number === 0) throw new Error(`a broken field at byte ${begin}`);
    found.push({ number, wire, bytes, value, raw: message.subarray(begin, at) });
  }
  return found;
}

/** Return the unsigned integers that are packed into bytes. */
export function packed(bytes: Uint8Array): number[] {
  const found: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { value, end } = varint(bytes, at);
    found.push(value);
    at = end;
  }
  return found;
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

/** Return a BYTES field. */
export function bytesField(number: number, content: Uint8Array): Uint8Array {
  return joined([encoded(number * 8 + BYTES), encoded(content.length), content]);
}

function encoded(value: number): Uint8Array {
  const made: number[] = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) made.push((value % 128) + 128);
  return new Uint8Array([...made, value]);
}

/** Read an integer; of one with more than 53 bits, negative ones say, only the end is right. */
function varint(message: Uint8Array, at: number): { value: number; end: number } {
  let [value, scale] = [0, 1];
  for (let end = at; end < message.length && end < at + 10; end++) {
    const byte = message[end] ?? 0;
    value += (byte % 128) * scale;
    scale *= 128;
    if (byte < 128) return { value, end: end + 1 };
  }
  throw new Error(`a broken number at byte ${at}`);
}
