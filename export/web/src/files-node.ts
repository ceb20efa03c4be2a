/** Reading a bundle's files in Node: from a directory, or over HTTP. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { reader as webReader } from "./files.js";

/**
 * Return a function that reads the files of a bundle.
 *
 * @param where path or URL of the bundle's directory.
 */
export function reader(where: string | URL): (name: string) => Promise<Uint8Array> {
  if (/^https?:/.test(`${where}`)) return webReader(where);
  const directory = /^file:/.test(`${where}`) ? fileURLToPath(where) : `${where}`;
  return async (name) => new Uint8Array(await readFile(join(directory, name)));
}
