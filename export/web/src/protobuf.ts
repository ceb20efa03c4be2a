/**
 * Reading protobuf's wire format strictly: what two readers could take for two things is refused.
 *
 * Protobuf itself skips fields that it does not know, cuts tags to 32 bits, merges a message that comes
 * twice and keeps the last of two numbers. This package judges a file before onnxruntime uses it, and
 * must not guess which of these that one does; as `edgemeta/bundle/_protobuf.py`. Source:
 * https://protobuf.dev/programming-guides/encoding.
 */

import type { Rules } from "./contract.js";
import { joined } from "./safetensors.js";
import { decode } from "./utf8.js";

const VARINT = 0;
const BYTES = 2;
const FIXED: Readonly<Record<number, number>> = { 1: 8, 5: 4 }; // bytes, by wire type
const MOST_BYTES = 10; // of a number of 64 bits

/** A field of a message. */
export interface Field {
  readonly number: number;
  /** What follows tag and length: of a number, its bytes. */
  readonly content: Uint8Array;
  /** All bytes of the field, its tag included. */
  readonly raw: Uint8Array;
}

/**
 * Reads messages.
 *
 * @param left how many fields may be read in all, which bounds the time.
 */
export class ProtobufReader {
  #left: number;

  constructor(left: number) {
    this.#left = left;
  }

  /**
   * Return the fields of a message in order, but for those of no interest.
   *
   * @throws Error where it is cut short, or has a field of another number or wire type, or one twice
   *   that may come once, or there are too many fields.
   */
  fields(message: Uint8Array, rules: Rules): Field[] {
    const found: Field[] = [];
    const seen = new Set<number>();
    for (let at = 0; at < message.length; ) {
      const begin = at;
      const tag = varint(message, at);
      const rule = rules.get(tag.value);
      if (rule === undefined) throw new Error("an unknown field");
      if (--this.#left < 0) throw new Error("too many fields");
      if (rule === "once") {
        if (seen.has(tag.value)) throw new Error(`field ${Math.floor(tag.value / 8)} twice`);
        seen.add(tag.value);
      }
      let start = tag.end;
      const wire = tag.value % 8;
      if (wire === VARINT) at = varint(message, start).end;
      else if (wire === BYTES) {
        const size = varint(message, start);
        start = size.end;
        at = start + size.value;
      } else at = start + (FIXED[wire] ?? Number.NaN);
      if (!(at <= message.length)) throw new Error("a message that is cut short");
      if (rule === "skipped") continue;
      const number = Math.floor(tag.value / 8);
      found.push({ number, content: message.subarray(start, at), raw: message.subarray(begin, at) });
    }
    return found;
  }
}

/**
 * Return the unsigned integers of a field: one, or those that are packed into it. One of more than 53
 * bits is rounded.
 *
 * @throws Error where there are more than `most`.
 */
export function integers({ content }: Field, most: number): number[] {
  const found: number[] = [];
  for (let at = 0; at < content.length; ) {
    const { value, end } = varint(content, at);
    found.push(value);
    if (found.length > most) throw new Error(`more than ${most} numbers`);
    at = end;
  }
  return found;
}

/** Return the unsigned integer of a field; 0 without the field. */
export function integer(field: Field | undefined): number {
  return field === undefined ? 0 : varint(field.content, 0).value;
}

/** Return the text of a field; an empty one without the field. */
export function text(field: Field | undefined): string {
  return field === undefined ? "" : decode(field.content);
}

/** Return a field of bytes. */
export function bytesField(number: number, content: Uint8Array): Uint8Array {
  return joined([encoded(number * 8 + BYTES), encoded(content.length), content]);
}

/** Return a field that is an unsigned integer below 2^53. */
export function varintField(number: number, value: number): Uint8Array {
  return joined([encoded(number * 8 + VARINT), encoded(value)]);
}

function encoded(value: number): Uint8Array {
  const made: number[] = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) made.push((value % 128) + 128);
  return new Uint8Array([...made, value]);
}

/** Read an unsigned integer of 64 bits at most; one of more than 53 is rounded. */
function varint(message: Uint8Array, at: number): { value: number; end: number } {
  let [value, scale] = [0, 1];
  for (let end = at; end < message.length; end++) {
    const byte = message[end] ?? 0;
    const bytes = end - at + 1;
    if (bytes === MOST_BYTES && byte > 1) throw new Error("a number of more than 64 bits");
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte > 0x7f) continue;
    if (byte === 0 && bytes > 1) throw new Error("a number with more bytes than it needs");
    return { value, end: end + 1 };
  }
  throw new Error("a message that is cut short");
}
