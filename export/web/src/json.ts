/**
 * JSON from outside, which must mean one thing only: I-JSON (RFC 7493), and what is written here.
 *
 * `JSON.parse` takes the last of two equal keys, halves of surrogate pairs, and integers of any size,
 * which it rounds; and it does not tell 1 from 1.0, which Python and C++ do. So this reader is ours.
 */

import { MAX_AXES, MAX_DEPTH, MAX_INTEGER, MAX_SIZE } from "./contract.js";
import { decode } from "./utf8.js";

const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y; // characters that stand for themselves in a string
const SPACE = /[ \t\n\r]*/y;
const ESCAPES: Readonly<Record<string, string>> = {
  ...{ '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" },
};
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const CONTROL_BEYOND_LINES = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;
const WORDS = new Map<string, Json>([["true", true], ["false", false], ["null", null]]);

/** A whole number that was written with a point or an exponent, such as 1.0: no integer. */
export class Decimal {
  constructor(readonly value: number) {}
}

export type JsonObject = { [key: string]: Json };
/** What a text says. An object has no prototype, so that no key means anything else. */
export type Json = null | boolean | number | string | Decimal | Json[] | JsonObject;

/**
 * Read JSON.
 *
 * @throws Error where it is none, has a byte order mark, a key twice, a number that is not finite, an
 *   integer beyond 2^53 - 1, half a surrogate pair, a control character, or is nested too deeply.
 */
export function parseJson(text: string): Json {
  return new Reader(text).whole();
}

/** Read a JSON object in UTF-8; throws as `parseJson`. */
export function parseObject(content: Uint8Array): JsonObject {
  return object(parseJson(decode(content)), "the whole");
}

/** Return what `JSON.parse` would: with plain numbers in the place of decimals. */
export function plain(value: Json): unknown {
  if (value instanceof Decimal) return value.value;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const found: Record<string, unknown> = Object.create(null);
  for (const key of Object.keys(value)) found[key] = plain(value[key] ?? null);
  return found;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Decimal)
  );
}

/** Return a value that has to be an object; `name` is how an error calls it. */
export function object(value: Json | undefined, name: string): JsonObject {
  if (!isObject(value)) throw new Error(`${name} is no object`);
  return value;
}

/** Return an object that has to have these keys and no others. */
export function exactly(
  value: Json | undefined,
  name: string,
  keys: readonly string[],
): JsonObject {
  const found = object(value, name);
  const odd = [...Object.keys(found), ...keys].filter(
    (key) => !keys.includes(key) || !Object.hasOwn(found, key),
  );
  if (odd.length > 0) throw new Error(`${name} has missing or unknown fields: ${odd.join(", ")}`);
  return found;
}

/** Return the sizes of axes, of which there may be MAX_AXES, each of at most MAX_SIZE. */
export function sizes(value: Json | undefined, name: string): readonly number[] {
  const isSize = (size: Json) => isInteger(size, 0) && size <= MAX_SIZE;
  if (!Array.isArray(value) || value.length > MAX_AXES || !value.every(isSize)) {
    throw new Error(`${name} of shape ${show(value)}`);
  }
  return value as number[];
}

/** Whether a value is an integer, as it was written, and at least `least`. */
export function isInteger(value: Json | undefined, least: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least;
}

/** Whether a text has a control character; a tab and a line feed are such ones, too. */
export function hasControl(text: string): boolean {
  return CONTROL.test(text);
}

/** Whether a text has a control character that no text from outside may have. */
export function hasControlBeyondLines(text: string): boolean {
  return CONTROL_BEYOND_LINES.test(text);
}

/** Return a value as JSON, for an error. */
export function show(value: Json | undefined): string {
  return value === undefined ? "nothing" : JSON.stringify(plain(value));
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Json {
    const value = this.#value(MAX_DEPTH);
    if (this.#at < this.#text.length) throw this.#broken();
    return value;
  }

  #value(depth: number): Json {
    this.#match(SPACE);
    const next = this.#text[this.#at];
    let value: Json;
    if (next === "{" || next === "[") {
      if (depth === 0) throw new Error(`JSON that is nested deeper than ${MAX_DEPTH}`);
      this.#at++;
      value = next === "{" ? this.#object(depth) : this.#array(depth);
    } else if (next === '"') value = this.#string();
    else if (next === "-" || (next !== undefined && next >= "0" && next <= "9")) {
      value = this.#number();
    } else value = this.#word();
    this.#match(SPACE);
    return value;
  }

  #object(depth: number): JsonObject {
    const found: JsonObject = Object.create(null);
    this.#match(SPACE);
    if (this.#takes("}")) return found;
    do {
      this.#match(SPACE);
      if (this.#text[this.#at] !== '"') throw this.#broken();
      const key = this.#string();
      if (Object.hasOwn(found, key)) throw new Error(`an object with the key ${show(key)} twice`);
      this.#match(SPACE);
      if (!this.#takes(":")) throw this.#broken();
      found[key] = this.#value(depth - 1);
    } while (this.#takes(","));
    if (!this.#takes("}")) throw this.#broken();
    return found;
  }

  #array(depth: number): Json[] {
    const found: Json[] = [];
    this.#match(SPACE);
    if (this.#takes("]")) return found;
    do found.push(this.#value(depth - 1));
    while (this.#takes(","));
    if (!this.#takes("]")) throw this.#broken();
    return found;
  }

  #string(): string {
    let found = "";
    this.#at++;
    for (;;) {
      found += this.#match(PLAIN)?.[0] ?? "";
      if (this.#takes('"')) break;
      if (!this.#takes("\\")) throw this.#broken();
      const kind = this.#text[this.#at++] ?? "";
      if (kind === "u") {
        const digits = this.#text.slice(this.#at, this.#at + 4);
        if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw this.#broken();
        found += String.fromCharCode(Number.parseInt(digits, 16));
        this.#at += 4;
      } else {
        const meant = ESCAPES[kind];
        if (meant === undefined) throw this.#broken();
        found += meant;
      }
    }
    if (hasControlBeyondLines(found)) throw new Error("a string with a control character");
    if (!isWellFormed(found)) throw new Error("a string with half a surrogate pair");
    return found;
  }

  #number(): number | Decimal {
    const [text, point, exponent] = this.#match(NUMBER) ?? [];
    if (text === undefined) throw this.#broken();
    const value = Number(text);
    if (point === undefined && exponent === undefined) {
      if (Math.abs(value) > MAX_INTEGER) throw new Error(`an integer beyond 2^53 - 1: ${text}`);
      return value;
    }
    if (!Number.isFinite(value)) throw new Error(`a number that is not finite: ${text}`);
    return Number.isInteger(value) ? new Decimal(value) : value;
  }

  #word(): Json {
    for (const [word, value] of WORDS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    throw this.#broken();
  }

  #takes(character: string): boolean {
    const taken = this.#text[this.#at] === character;
    if (taken) this.#at++;
    return taken;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found !== null) this.#at = pattern.lastIndex;
    return found;
  }

  #broken(): Error {
    return new Error(`no JSON at character ${this.#at}`);
  }
}

/** Whether a text has no half of a surrogate pair. */
export function isWellFormed(text: string): boolean {
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    if (point >= 0xd800 && point <= 0xdfff) return false;
  }
  return true;
}
