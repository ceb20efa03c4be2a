import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { build } from "esbuild";
import { FewShotClassifier as Classifier } from "../dist/lib/index.js";
import { files, recorded, runner } from "./bundle.mjs";
import { reactNative } from "./stand-ins.mjs";

const entry = fileURLToPath(new URL("../dist/native/index.js", import.meta.url));
const { outputFiles } = await build({
  entryPoints: [entry],
  bundle: true,
  write: false,
  format: "iife",
  globalName: "edgemeta",
});

// JavaScript itself and no more: nothing of Node, nothing of a browser. Arrays are those of outside.
function started(/** @type {object} */ more = {}) {
  const made = createContext({
    ...{ ArrayBuffer, DataView, Int8Array, Uint8Array, Int16Array, Uint16Array, Int32Array, Uint32Array },
    ...{ BigInt64Array, BigUint64Array, Float32Array, Float64Array, ...more },
  });
  runInContext(/** @type {any} */ (outputFiles[0]).text, made);
  return made;
}
const language = started();
/** @type {typeof import("../dist/lib/react-native.js")} */
const { FewShotClassifier, readWav, Runner, verify } = language["edgemeta"];

const ort = /** @type {any} */ (await reactNative());
const content = await files();
/** @param {string} name */
const readFile = async (name) => /** @type {Uint8Array} */ (content[name]);

test("nothing of Node or a browser is there", () => {
  for (const name of ["process", "Buffer", "TextDecoder", "TextEncoder", "URL", "fetch", "crypto", "performance", "document"]) {
    assert.equal(runInContext(`typeof ${name}`, language), "undefined", name);
  }
});

test("it learns, saves, and reads on React Native what it does in Node", async () => {
  let hashed = 0;
  const sha256 = (/** @type {Uint8Array} */ bytes) => {
    hashed++;
    return new Uint8Array(createHash("sha256").update(bytes).digest());
  };
  const phone = await Runner.load({ readFile }, { ort, sha256 });
  assert.equal(hashed, 4); // the manifest, two graphs, the init
  const found = await verify(phone);
  assert.equal(found.length, 4);
  assert.equal(hashed, 5);
  const [x, y] = [recorded("support_x").data, recorded("support_y").data];
  const [here, there] = [await runner.adapt(x, y), await phone.adapt(x, y)];
  assert.deepEqual([...(await there.predictLogits(x))], await here.predictLogits(x));
  const saved = await there.save(["الف", "𝒳"]);
  assert.deepEqual((await runner.loadState(saved)).labels, ["الف", "𝒳"]);
  assert.deepEqual([...(await (await phone.loadState(saved)).predict(x))], await here.predict(x));
  await phone.release();
});

test("it checks who signed a bundle, where there is a TextEncoder", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const key = String(publicKey.export({ type: "spki", format: "pem" }));
  const missing = async (/** @type {string} */ name) => {
    if (name === "manifest.sig") throw new Error("no asset");
    return readFile(name);
  };
  const unsigned = Runner.load({ readFile: missing }, { ort, key });
  await assert.rejects(unsigned, { kind: "bundle", message: /^what was read is not signed/ });
  const signature = sign(null, content["manifest.json"] ?? new Uint8Array(), privateKey);
  const signed = async (/** @type {string} */ name) => {
    return name === "manifest.sig" ? new Uint8Array(signature) : readFile(name);
  };
  await assert.rejects(Runner.load({ readFile: signed }, { ort, key }), {
    kind: "input",
    message: /^signatures cannot be checked here: got TextEncoder is not defined, expected/,
  });
  /** @type {typeof import("../dist/lib/react-native.js")} */
  const newer = started({ TextEncoder })["edgemeta"];
  await (await newer.Runner.load({ readFile: signed }, { ort, key })).release();
  const other = String(generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }));
  const wrong = newer.Runner.load({ readFile: signed }, { ort, key: other });
  await assert.rejects(wrong, { kind: "bundle", message: /a wrong signature/ });
});

test("it classifies and freezes", async () => {
  const phone = await Runner.load({ readFile }, { ort });
  const x = recorded("support_x").data;
  const names = Array.from(recorded("support_y").data, Number).map((k) => `character ${k}`);
  const classifier = await new FewShotClassifier(phone).fit(x, names);
  assert.deepEqual([...(await classifier.predict(x))], names);
  const here = await new Classifier(runner).load(await classifier.save());
  assert.deepEqual(await here.predict(x), names);
  const frozen = await phone.init.freeze();
  assert.deepEqual([...(await frozen.predict(x))], await runner.init.predict(x));
  await phone.release();
});

test("a view of a larger array means the numbers that it shows", async () => {
  const phone = await Runner.load({ readFile }, { ort });
  const x = /** @type {Uint8Array} */ (recorded("support_x").data);
  const larger = new Uint8Array(x.length + 8).fill(255);
  larger.set(x, 8);
  const y = recorded("support_y").data;
  const [whole, view] = [await phone.adapt(x, y), await phone.adapt(larger.subarray(8), y)];
  assert.deepEqual(view.losses, whole.losses);
});

test("what cannot be used is refused in one line", async () => {
  await assert.rejects(Runner.load("bundle", { ort }), {
    kind: "input",
    message: "a bundle has no path that React Native could read: got bundle, expected { readFile }, a function that returns the bytes of a file by its name",
  });
  const missing = async () => {
    throw new Error("no asset");
  };
  await assert.rejects(Runner.load({ readFile: missing }, { ort }), {
    kind: "bundle",
    message: /^what was read is not a bundle: got no asset, expected a readable manifest.json/,
  });
  assert.throws(() => readWav(new Uint8Array(3)), { kind: "input" });
});
