/**
 * UTF-8, strictly: bytes that are none are refused, and so are halves of surrogate pairs.
 *
 * Written out, because Hermes, on which React Native runs, has had no TextDecoder, and because the
 * browsers' own drops a byte order mark without a word.
 */

const CHUNK = 4096; // arguments of one call

/** The least code point of a sequence of so many bytes: what is below has a shorter one. */
const LEAST = [0, 0, 0x80, 0x800, 0x10000];

/**
 * Return the text of bytes.
 *
 * @throws Error where they are not UTF-8.
 */
export function decode(bytes: Uint8Array): string {
  let text = "";
  let units: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at] ?? 0;
    const size = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    let point = size === 1 ? first : first & (0xff >> (size + 1));
    let valid = size > 0 && first < 0xf8 && at + size <= bytes.length;
    for (let k = at + 1; valid && k < at + size; k++) {
      const next = bytes[k] ?? 0;
      valid = (next & 0xc0) === 0x80;
      point = (point << 6) | (next & 0x3f);
    }
    const surrogate = point >= 0xd800 && point <= 0xdfff;
    if (!valid || surrogate || point < (LEAST[size] ?? 0) || point > 0x10ffff) {
      throw new Error(`bytes that are not UTF-8, at ${at}`);
    }
    if (point < 0x10000) units.push(point);
    else units.push(0xd800 + ((point - 0x10000) >> 10), 0xdc00 + (point & 0x3ff));
    at += size;
    if (units.length >= CHUNK || at >= bytes.length) {
      text += String.fromCharCode(...units);
      units = [];
    }
  }
  return text;
}

/**
 * Return the bytes of a text.
 *
 * @throws Error where it has half of a surrogate pair.
 */
export function encode(text: string): Uint8Array {
  const bytes = new Uint8Array(3 * text.length); // a unit of UTF-16 takes three at most
  let end = 0;
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    if (point >= 0xd800 && point <= 0xdfff) throw new Error("a text with half a surrogate pair");
    const more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    bytes[end++] = more === 0 ? point : ((0xff00 >> (more + 1)) & 0xff) | (point >> (6 * more));
    for (let k = more - 1; k >= 0; k--) bytes[end++] = 0x80 | ((point >> (6 * k)) & 0x3f);
  }
  return bytes.slice(0, end);
}
