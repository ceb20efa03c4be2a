/** Reading a bundle's files over HTTP: what a browser does; `files-node.ts` also reads directories. */

/**
 * Return a function that reads the files of a bundle.
 *
 * @param where URL of the bundle's directory, relative to the page.
 */
export function reader(where: string | URL): (name: string) => Promise<Uint8Array> {
  const base = new URL(`${where}`.replace(/\/*$/, "/"), globalThis.location?.href);
  return async (name) => {
    const response = await fetch(new URL(name, base));
    if (!response.ok) throw new Error(`HTTP status ${response.status} for ${name}`);
    return new Uint8Array(await response.arrayBuffer());
  };
}
