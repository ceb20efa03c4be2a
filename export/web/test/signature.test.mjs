import { generateKeyPairSync, sign } from "node:crypto";
import test from "node:test";
import { Runner } from "../dist/lib/index.js";
import { files, OMNIGLOT, ort, refused } from "./bundle.mjs";

const { publicKey, privateKey } = generateKeyPairSync("ed25519");

/** @param {import("node:crypto").KeyObject} key */
const pem = (key) => String(key.export({ type: "spki", format: "pem" }));
const KEY = pem(publicKey);

/**
 * Return the files of a bundle that is signed.
 *
 * @returns {Promise<Record<string, Uint8Array>>}
 */
async function signed() {
  const found = await files();
  const manifest = /** @type {Uint8Array} */ (found["manifest.json"]);
  return { ...found, "manifest.sig": new Uint8Array(sign(null, manifest, privateKey)) };
}

/** Load a bundle whose signer has to be right. @param {Record<string, Uint8Array>} found */
const load = (found, key = KEY) => Runner.load({ files: found }, { ort, key });

test("a bundle that was signed by the key is loaded", async () => {
  await (await load(await signed())).release();
  await (await load(await signed(), `words around it\n${KEY.replaceAll("\n", "\r\n")}`)).release();
});

test("a bundle that was not signed is refused", async () => {
  await refused(load(await files()), "bundle", /the bundle is not signed: got no readable manifest.sig; .*edgemeta sign/);
  await refused(Runner.load(OMNIGLOT, { ort, key: KEY }), "bundle", /omniglot is not signed/);
});

test("a signature that is not given as bytes is refused", async () => {
  const text = /** @type {any} */ ("manifest.sig");
  await refused(load({ ...(await signed()), "manifest.sig": text }), "input", /^manifest.sig is not given as bytes: got String/);
});

test("a wrong signature is refused", async () => {
  const wrong = /the bundle has a wrong signature: the manifest was changed, or signed by another key$/;
  const found = await signed();
  const other = pem(generateKeyPairSync("ed25519").publicKey);
  await refused(load(found, other), "bundle", wrong);
  const signature = /** @type {Uint8Array} */ (found["manifest.sig"]);
  for (const at of [0, 31, 32, 63]) {
    const changed = signature.slice();
    changed[at] = /** @type {number} */ (changed[at]) ^ 1;
    await refused(load({ ...found, "manifest.sig": changed }), "bundle", wrong);
  }
  for (const size of [0, 63, 65]) {
    const changed = new Uint8Array(size);
    changed.set(signature.slice(0, size));
    await refused(load({ ...found, "manifest.sig": changed }), "bundle", wrong);
  }
  const manifest = new TextDecoder().decode(found["manifest.json"]);
  const changed = new TextEncoder().encode(`${manifest} `);
  await refused(load({ ...found, "manifest.json": changed }), "bundle", wrong);
});

test("a key with which anything is signed is refused: RFC 8032 has no such key, ZIP 215 does", async () => {
  const found = await signed();
  const neutral = new Uint8Array(32);
  neutral[0] = 1; // the point that multiplies to itself
  const key = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), neutral]);
  const text = `-----BEGIN PUBLIC KEY-----\n${key.toString("base64")}\n-----END PUBLIC KEY-----\n`;
  const signature = new Uint8Array(64);
  signature.set(neutral);
  await refused(load({ ...found, "manifest.sig": signature }, text), "bundle", /a wrong signature/);
});

test("what is no key is refused", async () => {
  const found = await signed();
  const none = /^key is no public key: expected the text of a PEM file; make a pair with `openssl genpkey/;
  const whole = String(privateKey.export({ type: "pkcs8", format: "pem" }));
  const body = KEY.split("\n")[1] ?? "";
  const wrong = ["", "hello", whole, KEY.replace(body, "===="), KEY.replace(body, "AAAA"), KEY + " ".repeat(2 ** 14)];
  for (const key of wrong) await refused(load(found, key), "input", none);
  await refused(load(found, /** @type {any} */ (new Uint8Array(9))), "input", none);
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey;
  const x25519 = generateKeyPairSync("x25519").publicKey;
  const short = KEY.replace(body, body.slice(0, -4));
  for (const key of [pem(rsa), pem(x25519), short]) {
    await refused(load(found, key), "input", /^key is no Ed25519 key; make a pair/);
  }
});
