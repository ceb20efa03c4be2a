import assert from "node:assert/strict";
import test from "node:test";
import { Decimal, exactly, parseJson, parseObject, plain } from "../dist/lib/json.js";
import { decode, encode } from "../dist/lib/utf8.js";

/** Return bytes: text is UTF-8. @param {string | number[]} content */
const bytes = (content) => (typeof content === "string" ? new TextEncoder().encode(content) : Uint8Array.from(content));

for (const text of [
  ...["null", " true ", "[]", "{}", "[1,-0,0.5,-2.5e-3,1E+2]", '{"a":{"b":[1,{"c":null}]},"":2}'],
  ...['"\\u0041\\n\\t\\/\\\\\\"é😀\\ud83d\\ude00"', "9007199254740991", "-9007199254740991", "1e308", "1e-400"],
  `${"[".repeat(32)}${"]".repeat(32)}`,
]) {
  test(`${text.slice(0, 40)} means what it does to JSON.parse`, () => {
    assert.deepEqual(plain(parseJson(text)), nullPrototypes(JSON.parse(text)));
  });
}

/** @param {any} value @returns {any} */
function nullPrototypes(value) {
  if (Array.isArray(value)) return value.map(nullPrototypes);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, each]) => [key, nullPrototypes(each)]);
  return Object.assign(Object.create(null), Object.fromEntries(entries));
}

/** @type {[string, string | number[], RegExp][]} */
const REFUSED = [
  ["nothing", "", /no JSON at character 0/],
  ["more than one value", "{} {}", /no JSON at character 3/],
  ["a comma too many", '{"a":1,}', /no JSON/],
  ["a comma too many in a list", "[1,]", /no JSON/],
  ["a comment", "{}//", /no JSON/],
  ["another space", "\u00a0{}", /no JSON/],
  ["single quotes", "{'a':1}", /no JSON/],
  ["a bare key", "{a:1}", /no JSON/],
  ["a leading zero", "[01]", /no JSON/],
  ["a plus", "[+1]", /no JSON/],
  ["a point without digits", "[1.]", /no JSON/],
  ["NaN", "[NaN]", /no JSON/],
  ["a key twice", '{"a":{"b":1,"b":1}}', /the key "b" twice/],
  ["a key twice, once escaped", '{"ab":1,"\\u0061b":1}', /the key "ab" twice/],
  ["an integer beyond", "[9007199254740992]", /an integer beyond 2\^53 - 1/],
  ["a negative integer beyond", "[-9007199254740992]", /an integer beyond/],
  ["a number that is not finite", "[1e309]", /not finite/],
  ["33 lists", `${"[".repeat(33)}${"]".repeat(33)}`, /nested deeper than 32/],
  ["a raw control character", '"\u0001"', /no JSON/],
  ["a raw tab", '"\t"', /no JSON/],
  ["an escaped control character", '"\\u001b"', /control character/],
  ["a carriage return", '"\\r"', /control character/],
  ["a control character of 8 bits", '"\u009b"', /control character/],
  ["a control character in a key", '{"\u007f":1}', /control character/],
  ["half a surrogate pair", '"\\ud800"', /half a surrogate pair/],
  ["halves in the wrong order", '"\\udc00\\ud800"', /half a surrogate pair/],
  ["an unknown escape", '"\\x41"', /no JSON/],
  ["a short escape", '"\\u41"', /no JSON/],
  ["an open string", '"a', /no JSON/],
  ["a byte order mark", [0xef, 0xbb, 0xbf, 0x7b, 0x7d], /no JSON at character 0/],
  ["Latin 1", [0x22, 0xe9, 0x22], /not UTF-8/],
  ["a longer sequence than needed", [0x22, 0xc0, 0xaf, 0x22], /not UTF-8/],
  ["a surrogate in UTF-8", [0x22, 0xed, 0xa0, 0x80, 0x22], /not UTF-8/],
  ["beyond Unicode", [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22], /not UTF-8/],
  ["a sequence that is cut short", [0x22, 0xe2, 0x82], /not UTF-8/],
];
for (const [name, content, text] of REFUSED) {
  test(`JSON with ${name} is refused`, () => {
    assert.throws(() => parseJson(decode(bytes(content))), text);
  });
}

test("a whole number with a point or an exponent is no integer", () => {
  assert.deepEqual(parseJson("[1.0,1e2,1,0.5]"), [new Decimal(1), new Decimal(100), 1, 0.5]);
});

test("keys of an object mean themselves alone", () => {
  const found = parseObject(bytes('{"__proto__":{"a":1},"constructor":2}'));
  assert.deepEqual(Object.keys(found), ["__proto__", "constructor"]);
  assert.equal(/** @type {any} */ (found)["a"], undefined);
  assert.deepEqual(Object.keys(/** @type {object} */ (plain(found))), ["__proto__", "constructor"]);
  assert.throws(() => exactly(found, "it", ["__proto__", "toString"]), /constructor, toString/);
  assert.throws(() => parseObject(bytes("[]")), /the whole is no object/);
});

test("every code point comes back from UTF-8, as TextEncoder writes it", () => {
  const points = [0, 0x41, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfeff, 0xffff, 0x10000, 0x10ffff];
  const text = String.fromCodePoint(...points).repeat(1000); // more than one chunk
  assert.deepEqual(encode(text), new TextEncoder().encode(text));
  assert.equal(decode(encode(text)), text);
  for (let point = 0; point < 0x110000; point += 37) {
    if (point >= 0xd800 && point < 0xe000) continue;
    assert.equal(decode(encode(String.fromCodePoint(point))), String.fromCodePoint(point));
  }
  assert.throws(() => encode("a\ud800"), /half a surrogate pair/);
});
