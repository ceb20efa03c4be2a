import assert from "node:assert/strict";
import test from "node:test";
import { checkGraph } from "../dist/lib/onnx-check.js";
import { prepare } from "../dist/lib/graph.js";

const [VARINT, BYTES] = [0, 2];
const utf8 = new TextEncoder();
const INIT = new Uint8Array(64);

/** @typedef {number | bigint | string | Uint8Array} Value */

/** @param {number | bigint} value */
function varint(value) {
  const made = [];
  let rest = BigInt(value);
  for (; rest > 0x7fn; rest >>= 7n) made.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.of(...made, Number(rest));
}

/** Return bytes one after another. @param {...Uint8Array} parts */
function message(...parts) {
  return new Uint8Array(Buffer.concat(parts));
}

/** Return a field. @param {number} number @param {Value} value @param {bigint} more added to its tag */
function field(number, value, more = 0n) {
  const wire = typeof value === "number" || typeof value === "bigint" ? VARINT : BYTES;
  const tag = varint(BigInt(number * 8 + wire) + more);
  if (typeof value === "number" || typeof value === "bigint") return message(tag, varint(value));
  const content = typeof value === "string" ? utf8.encode(value) : value;
  return message(tag, varint(content.length), content);
}

/** Return entries of external data. @param {Record<string, string>} said @param {bigint} more */
function outside(said, more = 0n) {
  const all = { location: "init.bin", offset: "16", length: "16", ...said };
  const entries = Object.entries(all).map(([key, value]) => message(field(1, key), field(2, value)));
  return message(...entries.map((entry) => field(13, entry, more)), field(14, 1));
}

/** Return a (4,) float32 tensor. @param {Uint8Array} values @param {string} name @param {Value} dim */
function tensor(values, name = "w", dim = 4, type = 1) {
  return message(field(1, dim), field(2, type), field(8, name), values);
}

/** @param {...Uint8Array} more */
function node(...more) {
  return message(field(1, "w"), field(2, "y"), field(4, "Neg"), ...more);
}

/** @param {Uint8Array} graph @param {...Uint8Array} more */
function model(graph, ...more) {
  return message(field(1, 10), field(8, message(field(2, 20))), field(7, graph), ...more);
}

/** Return a graph with one node and one tensor. @param {Uint8Array} w @param {...Uint8Array} more */
function graph(w, ...more) {
  return message(field(1, node()), field(5, w), field(2, "g"), field(12, message(field(1, "y"))), ...more);
}

/** @param {Uint8Array} content @param {object} changed of the manifest @param {Uint8Array} init */
function check(content, changed = {}, init = INIT) {
  const manifest = { opset: 20, ops: { "adapt.onnx": ["Neg"] }, state: [], ...changed };
  return checkGraph(content, "adapt.onnx", /** @type {any} */ (manifest), init);
}

const W = tensor(outside({}));
const RAW = tensor(field(9, new Uint8Array(16)));
const inner = (/** @type {Uint8Array} */ of) => field(5, message(field(1, "body"), field(6, of), field(20, 5)));

/** @param {number} depth @returns {Uint8Array} */
function nested(depth) {
  return message(field(1, depth === 0 ? node() : node(inner(nested(depth - 1)))), field(2, "g"));
}

/** @type {[string, Uint8Array, object?][]} */
const ACCEPTED = [
  ["values in init.bin", model(graph(W))],
  ["values inside", model(graph(RAW))],
  ["numbers that are packed", model(graph(tensor(field(4, new Uint8Array(16)))))],
  ["sizes that are packed", model(graph(tensor(field(9, new Uint8Array(16)), "w", Uint8Array.of(2, 2))))],
  ["no values, and none wanted", model(graph(tensor(field(9, new Uint8Array()), "w", 0)))],
  ["graphs in graphs", model(nested(7))],
  ["a state", model(graph(W)), { state: [{ name: "w", dtype: "float32", shape: [4] }] }],
];
for (const [name, content, changed] of ACCEPTED) {
  test(`a graph with ${name} is read`, () => assert.deepEqual([...check(content, changed).ops], ["Neg"]));
}

const HIGH = 1n << 32n; // protobuf cuts it off a tag

/** @type {[string, Uint8Array, RegExp, object?][]} */
const REFUSED = [
  ["external data under a tag beyond 32 bits", model(graph(tensor(message(outside({ location: "/etc/passwd" }, HIGH), field(9, new Uint8Array(16)))))), /an unknown field/],
  ["a tag beyond 32 bits", model(graph(W), field(14, "", HIGH)), /an unknown field/],
  ["functions", model(graph(W), field(25, "")), /an unknown field/],
  ["training", model(graph(W), field(20, "")), /an unknown field/],
  ["sparse tensors", model(graph(W, field(15, ""))), /an unknown field/],
  ["an unknown field in a tensor", model(graph(message(W, field(15, 1)))), /an unknown field/],
  ["an unknown field in a node", model(graph(W, field(1, node(field(8, "over"))))), /an unknown field/],
  ["an unknown field in an attribute", model(graph(W, field(1, node(field(5, field(22, "")))))), /an unknown field/],
  ["an unknown field of external data", model(graph(tensor(message(field(13, field(3, "")), field(14, 1))))), /an unknown field/],
  ["a number as another wire type", model(graph(message(W, Uint8Array.of(2 * 8 + 5, 0, 0, 0, 0)))), /an unknown field/],
  ["a group", message(Uint8Array.of(3)), /an unknown field/],
  ["two graphs", model(graph(W), field(7, graph(W))), /field 7 twice/],
  ["two names of a tensor", model(graph(message(W, field(8, "v")))), /field 8 twice/],
  ["two ops of a node", model(graph(W, field(1, node(field(4, "Abs"))))), /field 4 twice/],
  ["a number with more bytes than it needs", message(Uint8Array.of(8, 0x8a, 0), model(graph(W)).subarray(2)), /more bytes than it needs/],
  ["a tag with more bytes than it needs", message(Uint8Array.of(0x88, 0), model(graph(W)).subarray(1)), /more bytes than it needs/],
  ["a number of 65 bits", message(field(5, 1n << 64n), model(graph(W))), /more than 64 bits/],
  ["an end in a number", model(graph(W)).subarray(0, 1), /cut short/],
  ["an end in a message", model(graph(W)).subarray(0, -1), /cut short/],
  ["no graph", message(field(8, message(field(2, 20)))), /no graph and 1 opsets/],
  ["two opsets", model(graph(W), field(8, message(field(2, 20)))), /a graph and 2 opsets/],
  ["an opset of another domain", model(graph(W), field(8, message(field(1, "com.x"), field(2, 1)))), /opset of the domain "com.x"/],
  ["another opset", model(graph(W)), /opset 20, the manifest says 21/, { opset: 21 }],
  ["other ops", model(graph(W)), /ops missing or unknown: Neg, Abs/, { ops: { "adapt.onnx": ["Abs"] } }],
  ["an op of another domain", model(graph(W, field(1, node(field(7, "com.x"))))), /an op of the domain com.x/],
  ["a node without an op", model(graph(W, field(1, field(1, "w")))), /a node without an op/],
  ["graphs nested deeper", model(nested(8)), /nested deeper than 8/],
  ["two tensors of one name", model(graph(W, field(5, RAW))), /without a name of its own: "w"/],
  ["a tensor without a name", model(graph(tensor(outside({}), ""))), /without a name of its own: ""/],
  ["a name that is not UTF-8", model(graph(message(field(1, 4), field(2, 1), field(8, Uint8Array.of(0xff)), outside({})))), /not UTF-8/],
  ["strings", model(graph(tensor(outside({}), "w", 4, 8))), /data type 8/],
  ["a huge axis", model(graph(tensor(outside({}), "w", 1n << 31n))), /has shape 2147483648/],
  ["a negative axis", model(graph(tensor(outside({}), "w", (1n << 64n) - 1n))), /has shape 18446744073709552000/],
  ["17 axes", model(graph(tensor(outside({}), "w", new Uint8Array(17)))), /more than 16 numbers/],
  ["16 axes and one more", model(graph(message(field(1, 1), tensor(outside({}), "w", new Uint8Array(16))))), /has shape/],
  ["too large a product", model(graph(tensor(outside({}), "w", message(varint(2 ** 31 - 1), varint(2 ** 31 - 1))))), /too large a shape/],
  ["another number of raw values", model(graph(tensor(field(9, new Uint8Array(12))))), /another number of values/],
  ["too few packed values", model(graph(tensor(field(5, new Uint8Array(3))))), /another number of values/],
  ["raw and other values", model(graph(tensor(message(field(9, new Uint8Array(16)), field(5, 1))))), /another number of values/],
  ["another file", model(graph(tensor(outside({ location: "../init.bin" })))), /not in init.bin/],
  ["no offset", model(graph(tensor(outside({ offset: "" })))), /not in init.bin/],
  ["an offset with an exponent", model(graph(tensor(outside({ offset: "1e1" })))), /not in init.bin/],
  ["a negative offset", model(graph(tensor(outside({ offset: "-4" })))), /not in init.bin/],
  ["an offset of 12 digits", model(graph(tensor(outside({ offset: "000000000016" })))), /not in init.bin/],
  ["a checksum", model(graph(tensor(outside({ checksum: "x" })))), /not in init.bin/],
  ["an offset between numbers", model(graph(tensor(outside({ offset: "18" })))), /of 16 bytes has 16 at 18/],
  ["another length", model(graph(tensor(outside({ length: "12" })))), /of 16 bytes has 12 at 16/],
  ["an end beyond init.bin", model(graph(tensor(outside({ offset: "52" })))), /ends beyond the 64 bytes/],
  ["an offset twice", model(graph(tensor(message(field(13, message(field(1, "offset"), field(2, "0"))), outside({}))))), /said twice/],
  ["half an entry", model(graph(tensor(message(field(13, field(1, "offset")), outside({}))))), /or half/],
  ["external data without a location", model(graph(tensor(message(field(13, message(field(1, "offset"), field(2, "0"))), field(9, new Uint8Array(16)))))), /where there can be none/],
  ["another place of data", model(graph(tensor(message(field(9, new Uint8Array(16)), field(14, 2))))), /where there can be none/],
  ["external data in an attribute", model(graph(W, field(1, node(field(5, field(5, W)))))), /where there can be none/],
  ["external data in an inner graph", model(graph(W, field(1, node(inner(graph(W)))))), /where there can be none/],
  ["a state of another shape", model(graph(W)), /state tensor w does not fit/, { state: [{ name: "w", dtype: "float32", shape: [2, 2] }] }],
  ["a state that it lacks", model(graph(W)), /state tensor v does not fit/, { state: [{ name: "v", dtype: "float32", shape: [4] }] }],
];
for (const [name, content, text, changed] of REFUSED) {
  test(`a graph with ${name} is refused`, () => assert.throws(() => check(content, changed), text));
}

test("a truth value beyond 0 and 1 is refused", () => {
  const content = model(graph(tensor(outside({ length: "4" }), "w", 4, 9)));
  check(content);
  assert.throws(() => check(content, {}, Uint8Array.from(INIT, () => 2)), /truth values beyond 0 and 1/);
});

test("more fields than any graph has are refused", () => {
  const many = new Uint8Array(2 * 300_001).map((_, k) => (k % 2 === 0 ? 0x72 : 0));
  assert.throws(() => check(message(many, model(graph(W)))), /too many fields/);
});

test("what is prepared has its values inside, and is read as before", () => {
  const content = model(graph(W, field(11, message(field(1, "x"))), field(5, tensor(outside({}), "x"))));
  const init = Uint8Array.from(INIT, (_, k) => k);
  const ready = prepare(content, check(content), init);
  const found = check(ready.content).initializers;
  assert.deepEqual([...found.keys()], ["w"]);
  assert.equal(found.get("w")?.offset, null);
  assert.deepEqual([ready.inputs, ready.outputs], [["x"], ["y"]]);
  assert.deepEqual(ready.defaults.get("x")?.data, new Float32Array(init.slice(16, 32).buffer));
});

/** Return a graph that casts a (4,) table. @param {number} type of the table @param {number} to @param {number} offset @param {...Uint8Array} more */
function casting(type, to, offset, ...more) {
  const table = tensor(outside({ offset: `${offset}`, length: `${4 * (type === 2 ? 1 : type === 4 ? 2 : 4)}` }), "t", 4, type);
  const attribute = field(5, message(field(1, "to"), field(3, to), field(20, 2)));
  const cast = message(field(1, "t"), field(2, "wide"), field(4, "Cast"), attribute);
  return model(message(field(1, cast), field(1, node()), field(5, table), field(5, W), field(2, "g"), ...more));
}

test("a table of 16 bits is given in the bits that it is computed with", () => {
  const init = Uint8Array.from(INIT, (_, k) => 255 - k);
  const manifest = { ops: { "adapt.onnx": ["Cast", "Neg"] } };
  for (const [type, to, Narrow] of /** @type {[number, number, any][]} */ ([[4, 6, Uint16Array], [2, 7, Uint8Array]])) {
    const content = casting(type, to, 8);
    const ready = prepare(content, check(content, manifest), init);
    const found = check(ready.content, { ops: { "adapt.onnx": ["Neg"] } }).initializers.get("wide");
    assert.deepEqual([found?.dtype, found?.dims], [to === 6 ? "int32" : "int64", [4]]);
    const raw = found?.fields.find(({ number }) => number === 9)?.content.slice().buffer ?? new ArrayBuffer(0);
    const wide = to === 6 ? new Int32Array(raw) : new BigInt64Array(raw);
    assert.deepEqual(Array.from(wide, Number), Array.from(new Narrow(init.buffer, 8, 4)));
  }
});

test("other casts stay", () => {
  const manifest = { ops: { "adapt.onnx": ["Cast", "Neg"] } };
  const input = field(11, message(field(1, "t")));
  for (const content of [casting(4, 1, 8), casting(6, 7, 8), casting(4, 6, 8, input)]) {
    const ready = prepare(content, check(content, manifest), INIT);
    check(ready.content, manifest);
  }
});
