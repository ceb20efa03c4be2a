/** A server of files that only this machine can reach: for the demo, tests and the parity adapter. */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

/** @type {Record<string, string>} */
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

const HEADERS = {
  // Together they isolate the page, which is what lets WebAssembly have threads.
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cache-Control": "no-store",
};

/**
 * Serve folders on 127.0.0.1.
 *
 * @param {Record<string, string>} folders by the path that each is found under, such as "/"; may
 *   be changed later.
 * @param {number} port 0 takes a free one.
 * @returns {Promise<{ url: string, requests: string[], close: () => Promise<void> }>} its address
 *   without a slash at the end, and the paths that were asked for.
 */
export async function serve(folders, port = 0) {
  /** @type {string[]} */
  const requests = [];
  const server = createServer(async (request, response) => {
    // A page elsewhere can have its own name point here, and would read what is served.
    const host = (request.headers.host ?? "").replace(/:\d*$/, "");
    if (host !== "127.0.0.1" && host !== "localhost") {
      response.writeHead(403).end("served to this machine alone");
      return;
    }
    try {
      const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
      requests.push(path);
      const prefix = Object.keys(folders)
        .filter((each) => path.startsWith(each))
        .sort((a, b) => b.length - a.length)[0];
      const name = normalize(path.slice(prefix?.length ?? 0)).replace(/^[/.]+/, "") || "index.html";
      const content = await readFile(join(folders[prefix ?? ""] ?? "", name));
      response.writeHead(200, {
        "Content-Type": TYPES[extname(name)] ?? "application/octet-stream",
        ...HEADERS,
      });
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(undefined));
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
