/** The sha256 of bytes: the platform's where there is one, else in JavaScript. */

import { sha256 as written } from "@noble/hashes/sha2.js";

/** Returns the 32 bytes of a sha256. */
export type Sha256 = (content: Uint8Array) => Uint8Array | Promise<Uint8Array>;

/**
 * The sha256 that is used unless another one is given: a browser has its own in secure contexts
 * alone, which a page on plain http in a local network is not, and React Native has none.
 */
export const platformSha256: Sha256 = async (content) => {
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined;
  if (subtle === undefined) return written(content);
  return new Uint8Array(await subtle.digest("SHA-256", content as BufferSource));
};

/** Return a sha256 in hex. */
export async function hex(sha256: Sha256, content: Uint8Array): Promise<string> {
  const found = await sha256(content);
  return Array.from(found, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
