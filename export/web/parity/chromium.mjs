/**
 * The adapter of tests/parity for onnxruntime-web in Chromium; see `lines.mjs`.
 *
 * usage: node chromium.mjs [webgpu]
 */

import { writeFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { startChromium } from "../tools/chromium.mjs";
import { serve } from "../tools/serve.mjs";
import { answerLines } from "./lines.mjs";

/** @typedef {import("./page.ts").Page} Page */

/** @type {Record<string, string>} */
const folders = { "/": fileURLToPath(new URL("../dist/parity", import.meta.url)) };
const server = await serve(folders);
const webgpu = process.argv[2] === "webgpu";
const browser = await startChromium([], webgpu);
const page = await browser.newPage();
await page.goto(`${server.url}/${webgpu ? "#webgpu" : ""}`);
await page.waitForFunction("globalThis.harness !== undefined");

/** @param {string} path of a file @param {string} folder of the server that is to have it */
function urlOf(path, folder) {
  folders[`/${folder}/`] = dirname(path);
  return `${server.url}/${folder}/${encodeURIComponent(basename(path))}`;
}

let loaded = 0;
/** @param {string} bundle */
async function load(bundle) {
  const path = `/bundle-${++loaded}/`;
  folders[path] = bundle;
  return page.evaluate((url) => {
    return /** @type {Page} */ (globalThis).harness.load(url);
  }, `${server.url}${path}`);
}

await answerLines({
  async load({ bundle }) {
    const version = await load(bundle);
    return { runtime: webgpu ? "onnxruntime-web, WebGPU" : "onnxruntime-web", version };
  },
  async replay({ episode, out, repeats }) {
    const url = urlOf(episode, "episode");
    const { ms, content } = await page.evaluate(
      ([where, count]) => /** @type {Page} */ (globalThis).harness.replay(where, count),
      /** @type {[string, number]} */ ([url, repeats]),
    );
    await writeFile(out, Uint8Array.from(content));
    return { ms };
  },
  async classify({ bundle, episode, load: file, save, ...request }) {
    await load(bundle);
    const wanted = /** @type {import("./classify.mjs").Request} */ (request);
    const { answer, saved } = await page.evaluate(
      (given) => /** @type {Page} */ (globalThis).harness.classify(...given),
      /** @type {Parameters<Page["harness"]["classify"]>} */ ([
        ...[wanted, urlOf(episode, "episode")],
        ...[file === null ? null : urlOf(file, "file"), save !== null],
      ]),
    );
    if (saved !== null) await writeFile(save, Uint8Array.from(saved));
    return answer;
  },
});
await browser.close();
await server.close();
