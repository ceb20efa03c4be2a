/**
 * Checking who signed a bundle, as `edgemeta/bundle/signature.py` does; `edgemeta sign` signs.
 *
 * Ed25519 comes from @noble/curves on every platform: browsers have it in crypto.subtle since 2025
 * only, and not on pages from plain http. It is loaded when a key is given.
 */

import { EdgemetaError } from "./errors.js";

export const SIGNATURE = "manifest.sig";
const MAX_KEY = 1 << 14; // characters; a PEM text of Ed25519 has 113
const PEM = /-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----/;
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SEQUENCE = 0x30; // what every key in DER begins with
/** What comes before the 32 bytes of an Ed25519 key: RFC 8410, section 4. */
const PREFIX = [SEQUENCE, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const [KEY_BYTES, SIGNATURE_BYTES] = [32, 64];
const MAKE_KEYS =
  "make a pair with `openssl genpkey -algorithm ed25519 -out private.pem` and " +
  "`openssl pkey -in private.pem -pubout -out public.pem`";

/**
 * Check that a bundle's manifest was signed.
 *
 * @param where how errors call the bundle.
 * @param manifest content of its `manifest.json`.
 * @param readFile returns the content of a file of the bundle, or throws.
 * @param key the public key as PEM text.
 * @throws EdgemetaError of kind "bundle": it was not signed, not by this key, or was changed since;
 *   of kind "input": the key cannot be used.
 */
export async function checkSignature(
  where: string,
  manifest: Uint8Array,
  readFile: (name: string) => Promise<Uint8Array>,
  key: string,
): Promise<void> {
  const publicKey = keyOf(key);
  let signed: Uint8Array;
  try {
    signed = await readFile(SIGNATURE);
  } catch (error) {
    if (error instanceof EdgemetaError && error.kind === "input") throw error; // no bytes
    throw new EdgemetaError("bundle", `${where} is not signed`, {
      got: `no readable ${SIGNATURE}`,
      hint: "its maker signs it with `edgemeta sign`",
    });
  }
  const ed25519 = await library();
  // zip215 would also accept what RFC 8032 refuses.
  const right =
    signed.length === SIGNATURE_BYTES &&
    ed25519.verify(signed, manifest, publicKey, { zip215: false });
  if (!right) {
    throw new EdgemetaError(
      "bundle",
      `${where} has a wrong signature: the manifest was changed, or signed by another key`,
    );
  }
}

async function library() {
  try {
    return (await import("@noble/curves/ed25519.js")).ed25519;
  } catch (error) {
    throw new EdgemetaError("input", "signatures cannot be checked here", {
      got: error,
      expected: "the package @noble/curves, and a TextEncoder, which it uses",
    });
  }
}

/** Return the 32 bytes of a public key. */
function keyOf(pem: string): Uint8Array {
  const der = typeof pem === "string" && pem.length <= MAX_KEY ? derOf(pem) : null;
  if (der === null) {
    throw new EdgemetaError("input", "key is no public key", {
      expected: "the text of a PEM file",
      hint: MAKE_KEYS,
    });
  }
  if (der.length !== PREFIX.length + KEY_BYTES || PREFIX.some((byte, k) => der[k] !== byte)) {
    throw new EdgemetaError("input", "key is no Ed25519 key", { hint: MAKE_KEYS });
  }
  return der.slice(PREFIX.length);
}

/**
 * Return what a PEM text encodes; null where that is nothing like a key. React Native lacked atob for
 * long.
 */
function derOf(pem: string): Uint8Array | null {
  const text = PEM.exec(pem)?.[1]?.replace(/\s/g, "") ?? "";
  const digits = text.replace(/={0,2}$/, "");
  if (text.length % 4 !== 0 || digits.includes("=")) return null;
  const der: number[] = [];
  let [value, bits] = [0, 0];
  for (const digit of digits) {
    value = (value << 6) | BASE64.indexOf(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    der.push(value >> bits);
    value &= (1 << bits) - 1;
  }
  return der[0] === SEQUENCE ? Uint8Array.from(der) : null;
}
