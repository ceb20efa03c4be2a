import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { build } from "esbuild";
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
const language = createContext({
  ...{ ArrayBuffer, DataView, Int8Array, Uint8Array, Int16Array, Uint16Array, Int32Array, Uint32Array },
  ...{ BigInt64Array, BigUint64Array, Float32Array, Float64Array },
});
runInContext(/** @type {any} */ (outputFiles[0]).text, language);
/** @type {typeof import("../dist/lib/react-native.js")} */
const { readWav, Runner, verify } = language["edgemeta"];

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
