import assert from "node:assert/strict";
import test from "node:test";
import { Runner, verify } from "../dist/lib/index.js";
import { files, NAMES, OMNIGLOT, ort, recorded, refused, resign, runner } from "./bundle.mjs";

const X = /** @type {Uint8Array} */ (recorded("support_x").data);
const Y = Array.from(recorded("support_y").data, Number);
const QUERY = /** @type {Uint8Array} */ (recorded("query_x").data);
const PIXELS = 28 * 28;

test("the recorded episode comes out as PyTorch computed it", async () => {
  const found = await verify(runner);
  assert.deepEqual(
    found.map(({ tensor }) => tensor),
    ["head.weight.next", "head.bias.next", "losses", "logits"],
  );
});

test("another runtime than the record's is found out", async () => {
  const changed = await files();
  const bytes = /** @type {Uint8Array} */ (changed["selftest.safetensors"]);
  // The exponent of the last number: some tensor of results ends the file.
  bytes.set([0x44], bytes.length - 1);
  resign(changed);
  await refused(verify(await Runner.load({ files: changed }, { ort })), "runtime", /differs: got .*, expected at most/);
});

test("it learns classes, and forgets nothing of the init", async () => {
  const before = await runner.init.predictLogits(QUERY);
  const learner = await runner.adapt(X, Y);
  assert.equal(learner.ways, new Set(Y).size);
  assert.equal(learner.losses.length, 2);
  assert.ok(/** @type {number} */ (learner.losses[1]) < /** @type {number} */ (learner.losses[0]));
  assert.deepEqual(await learner.predict(X), Y);
  assert.deepEqual(await runner.init.predictLogits(QUERY), before);
  for (const row of await learner.predictProba(QUERY)) {
    assert.ok(Math.abs(row.reduce((a, b) => a + b) - 1) < 1e-5); // float32
  }
});

test("samples may be a list, and calls may overlap", async () => {
  const list = Array.from(Y, (_, k) => X.slice(k * PIXELS, (k + 1) * PIXELS));
  const [one, two] = await Promise.all([runner.adapt(X, Y), runner.adapt(list, Y)]);
  assert.deepEqual(await one?.predictLogits(QUERY), await two?.predictLogits([...QUERY]));
});

test("no steps give the start back; a state is continued from, with a class more", async () => {
  const learner = await runner.adapt(X, Y);
  const same = await runner.adapt(X, Y, { steps: 0, state: learner });
  assert.deepEqual(await same.predictLogits(QUERY), await learner.predictLogits(QUERY));
  const ways = /** @type {number} */ (learner.ways);
  const more = await runner.adapt([X.slice(0, PIXELS)], [ways], { state: learner });
  assert.equal(more.ways, ways + 1);
  assert.equal((await runner.adapt(X, Y, { ways: ways + 3 })).ways, ways + 3);
  await refused(runner.adapt(X, Y, { state: learner, ways: ways - 1 }), "input", /ways is out of range/);
});

test("an adaptation that diverges is refused", async () => {
  const one = X.slice(0, PIXELS); // one drawing under two names: a rate too high swings between them
  const [x, y] = [[one, one, one], [0, 0, 1]];
  await refused(
    runner.adapt(x, y, { steps: 5, lrScale: 1000 }),
    "adaptation",
    /adaptation diverged: .*got .* -> .* in 5 steps.*nothing was changed/,
  );
  const learner = await runner.adapt(x, y, { steps: 5, lrScale: 1000, guard: false });
  assert.equal(learner.losses.length, 6);
  await runner.adapt(x, y, { steps: 0, lrScale: 1000 });
});

/** @type {[string, any, any, object, RegExp][]} */
const WRONG = [
  ["half a sample", X.slice(1), Y, {}, /support_x has the wrong size: got \d+ numbers, expected a multiple of 784/],
  ["no sample", new Uint8Array(), [], {}, /support_x has the wrong size: got 0 numbers/],
  ["a short sample", [X.slice(1, PIXELS)], [0], {}, /a sample of the wrong size: got 783 numbers/],
  ["scaled pixels", Float32Array.from(X, (v) => v / 255), Y, {}, /uint8 cannot hold: got floats.*scaling happens/],
  ["too large", Array.from(X, (v) => 2 * v), Y, {}, /uint8 cannot hold: got \d+, expected integers 0..255/],
  ["not a number", [...X.slice(1), Number.NaN], Y, {}, /got NaN/],
  ["a label too few", X, Y.slice(1), {}, /support_y does not fit support_x/],
  ["half a label", X, Y.map((y) => y + 0.5), {}, /labels outside the task's classes: got \d+.5/],
  ["a label of none", X, Y.map((y) => y - 1), {}, /got -1, expected integers 0..65535/],
  ["a label beyond the ways", X, Y, { ways: 2 }, /expected integers 0..1; number/],
  ["too many steps", X, Y, { steps: 1e6 }, /steps is out of range: got 1000000, expected an integer in 0..10000/],
  ["half a step", X, Y, { steps: 0.5 }, /steps is out of range/],
  ["no rate", X, Y, { lrScale: Number.NaN }, /lrScale is out of range: got NaN/],
];
for (const [name, x, y, options, text] of WRONG) {
  test(`refused: ${name}`, () => refused(runner.adapt(x, y, options), "input", text));
}

test("refused: queries, threads, what a regression has", async () => {
  await refused(runner.init.predict(X.slice(1)), "input", /query_x has the wrong size/);
  await refused(Runner.load(OMNIGLOT, { ort, threads: 0.5 }), "input", /threads must be/);
});

for (const name of NAMES.slice(1)) {
  test(`a damaged ${name} is refused where it is read`, async () => {
    const changed = await files();
    const load = async () => {
      const other = await Runner.load({ files: changed }, { ort });
      if (name === "selftest.safetensors") await verify(other);
    };
    const content = /** @type {Uint8Array} */ (changed[name]);
    content[99] = /** @type {number} */ (content[99]) ^ 1;
    await refused(load(), "bundle", /is damaged: got sha256 .*copy the bundle again/);
    changed[name] = content.slice(1);
    await refused(load(), "bundle", /is damaged: got \d+ bytes, expected \d+ bytes/);
    delete changed[name];
    await refused(load(), "bundle", /the files are not a bundle/);
  });
}

test("files and samples may be Buffers, which are parts of larger ones in Node", async () => {
  const found = Object.entries(await files()).map(([name, content]) => {
    return [name, Buffer.concat([Buffer.from("x"), content]).subarray(1)];
  });
  const other = await Runner.load({ files: Object.fromEntries(found) }, { ort });
  const samples = Buffer.concat([Buffer.from("xyz"), X]).subarray(3);
  const logits = await (await runner.adapt(X, Y)).predictLogits(QUERY);
  assert.deepEqual(await (await other.adapt(samples, Y)).predictLogits(QUERY), logits);
});

test("files that are no bytes are refused", async () => {
  /** @type {any[]} */
  const wrong = [new ArrayBuffer(8), "text", [1, 2]];
  for (const content of wrong) {
    const readFile = async () => content;
    await refused(Runner.load({ readFile }, { ort }), "input", /manifest.json is not given as bytes: got \w+, expected a Uint8Array/);
  }
});

test("a bundle works without its selftest, and one may be read by whatever reads files", async () => {
  const found = await files();
  delete found["selftest.safetensors"];
  const asked = /** @type {string[]} */ ([]);
  const readFile = async (/** @type {string} */ name) => {
    asked.push(name);
    const content = found[name];
    if (content === undefined) throw new Error("no such asset");
    return content;
  };
  const other = await Runner.load({ readFile }, { ort });
  await other.adapt(X, Y);
  assert.deepEqual(asked.sort(), NAMES.slice(0, -1).sort());
  await refused(verify(other), "bundle", /what was read is not a bundle: got no such asset, expected a readable selftest/);
});

/** @type {[string, (manifest: any) => void, RegExp][]} */
const MANIFESTS = [
  ["another version", (m) => (m.format_version = 2), /unknown format_version: got 2, expected 1/],
  ["another task", (m) => (m.task = "ranking"), /breaks the contract: got task "ranking"/],
  ["no ways", (m) => (m.ways = null), /ways null for classification/],
  ["a dtype of no kind", (m) => (m.input.dtype = "complex64"), /input of dtype "complex64"/],
  ["a huge sample", (m) => (m.input.shape = [65536, 65536]), /input of shape/],
  ["a huge file", (m) => (m.files["init.bin"].size = 2 ** 40), /init.bin of \d+ bytes/],
  ["a file more", (m) => (m.files["more"] = m.files["init.bin"]), /files .*more/],
  ["a state of one name", (m) => m.state.push(m.state[0]), /two state tensors of one name/],
  ["a reserved name", (m) => (m.state[0].name = "losses"), /state tensor losses/],
  ["a state tensor more", (m) => m.state.push({ ...m.state[1], name: "x" }), /no graph of a bundle: got state tensor x does not fit its manifest/],
  ["an op less", (m) => m.ops["predict.onnx"].pop(), /no graph of a bundle: got ops missing or unknown: \w+/],
  ["a field more", (m) => (m.more = 1), /missing or unknown fields: more/],
  ["labels of a shared head", (m) => (m.labels = Array.from({ length: m.ways }, (_, k) => `${k}`)), /labels of a shared head/],
  ["too few labels", (m) => (m.labels = []), /0 labels for \d+ ways/],
  ["labels that are null", (m) => (m.labels = null), /labels null/],
  ["a field less", (m) => delete m.tuned, /missing or unknown fields: tuned/],
  ["a field more of an input", (m) => (m.input.name = "x"), /input has missing or unknown fields: name/],
  ["a field more of a file", (m) => (m.files["init.bin"].mode = 1), /init.bin has missing or unknown fields: mode/],
  ["a field more of a state tensor", (m) => (m.state[0].unit = ""), /a state tensor has missing or unknown fields: unit/],
  ["a per_class that is a number", (m) => (m.state[0].per_class = 1), /with per_class 1/],
  ["a huge axis", (m) => (m.state[0].shape = [1, 2 ** 31]), /of shape/],
  ["17 axes", (m) => (m.input.shape = Array(17).fill(1)), /input of shape/],
  ["a long name", (m) => (m.state[0].name = "\u00e9".repeat(251)), /state tensor/],
  ["a tab in a name", (m) => (m.state[0].name = "a\tb"), /the name of state tensor/],
  ["a name of ours", (m) => (m.state[0].name = "edgemeta.x"), /state tensor edgemeta.x/],
  ["no parity", (m) => (m.parity = {}), /parity/],
  ["a training that is a text", (m) => (m.training = "x"), /training "x"/],
  ["a target that is no label", (m) => (m.target.shape = [1]), /a target .* for classification/],
  ["a negative opset", (m) => (m.opset = -1), /opset -1/],
  ["no ops", (m) => delete m.ops, /missing or unknown fields: ops/],
  ["another shape", (m) => (m.state[0].shape = [1, 255]), /head.weight does not fit its manifest/],
];
for (const [name, change, text] of MANIFESTS) {
  test(`a manifest with ${name} is refused`, async () => {
    const changed = await files();
    const manifest = JSON.parse(new TextDecoder().decode(changed["manifest.json"]));
    change(manifest);
    changed["manifest.json"] = new TextEncoder().encode(JSON.stringify(manifest));
    await refused(Runner.load({ files: changed }, { ort }), "bundle", text);
  });
}

/** @type {[string, (text: string) => string, RegExp][]} */
const TEXTS = [
  ["a key twice", (text) => text.replace("{", '{"task": "regression",'), /key "task" twice/],
  ["half a surrogate pair", (text) => text.replace('"versions": {', '"versions": {"x": "\\ud800",'), /half a surrogate pair/],
  ["an integer with a point", (text) => text.replace(/"opset": (\d+)/, '"opset": $1.0'), /opset \d+/],
  ["a version with a point", (text) => text.replace('"format_version": 1', '"format_version": 1.0'), /unknown format_version/],
  ["a byte order mark", (text) => `\ufeff${text}`, /not a JSON object/],
];
for (const [name, change, text] of TEXTS) {
  test(`a manifest with ${name} is refused`, async () => {
    const changed = await files();
    const before = new TextDecoder().decode(changed["manifest.json"]);
    const after = change(before);
    assert.notEqual(after, before);
    changed["manifest.json"] = new TextEncoder().encode(after);
    await refused(Runner.load({ files: changed }, { ort }), "bundle", text);
  });
}

test("what is no bundle is refused", async () => {
  await refused(Runner.load("/no/such/place", { ort }), "bundle", /is not a bundle: got ENOENT/);
  const text = new TextEncoder().encode("hello");
  await refused(Runner.load({ files: { "manifest.json": text } }, { ort }), "bundle", /not a JSON object/);
});

for (const name of ["adapt.onnx", "predict.onnx"]) {
  test(`a ${name} that names another file is refused, though its hash is right`, async () => {
    const changed = await files();
    const content = Buffer.from(/** @type {Uint8Array} */ (changed[name]));
    content.write("init.bim", content.indexOf("init.bin"));
    changed[name] = new Uint8Array(content);
    resign(changed);
    await refused(Runner.load({ files: changed }, { ort }), "bundle", /external data that is not in init.bin/);
  });

  test(`a ${name} that is cut short is refused, though its hash is right`, async () => {
    const changed = await files();
    changed[name] = /** @type {Uint8Array} */ (changed[name]).slice(0, -40);
    resign(changed);
    await refused(Runner.load({ files: changed }, { ort }), "bundle", /is no graph of a bundle: got a message that is cut short/);
  });
}

test("threads are one per core, and sleep while they wait", async () => {
  /** @type {any[]} */
  const options = [];
  /** @type {any} */
  const InferenceSession = {
    create(/** @type {Uint8Array} */ content, /** @type {object} */ given) {
      options.push(given);
      return ort.InferenceSession.create(content, given);
    },
  };
  await Runner.load(OMNIGLOT, { ort: { ...ort, InferenceSession } });
  await Runner.load(OMNIGLOT, { ort: { ...ort, InferenceSession }, threads: 3 });
  assert.deepEqual(options.map((each) => each.intraOpNumThreads), [0, 0, 3, 3]);
  for (const each of options) assert.equal(each.extra.session.intra_op.allow_spinning, "0");
});

test("a released runner computes nothing", async () => {
  const other = await Runner.load(OMNIGLOT, { ort });
  await other.release();
  await assert.rejects(other.adapt(X, Y));
});

test("onnxruntime-node still ignores a state that has a default: why defaults are taken out", async () => {
  const session = await ort.InferenceSession.create(`${OMNIGLOT}/predict.onnx`, { logSeverityLevel: 3 });
  assert.deepEqual(session.inputNames, ["query_x"]);
  const feeds = { query_x: new ort.Tensor("uint8", QUERY, [QUERY.length / PIXELS, 28, 28]) };
  const learned = await (await runner.adapt(X, Y)).state();
  const state = Object.fromEntries(
    [...learned].map(([name, { data, dims }]) => [name, new ort.Tensor("float32", /** @type {any} */ (data), dims)]),
  );
  const [init, ignored] = [await session.run(feeds), await session.run({ ...feeds, ...state })];
  assert.deepEqual(ignored["logits"]?.dims, init["logits"]?.dims); // one class, not those learned
});
