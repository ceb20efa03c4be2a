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

let loaded = 0;
await answerLines({
  async load({ bundle }) {
    const path = `/bundle-${++loaded}/`;
    folders[path] = bundle;
    const version = await page.evaluate((url) => {
      return /** @type {Page} */ (globalThis).harness.load(url);
    }, `${server.url}${path}`);
    return { runtime: webgpu ? "onnxruntime-web, WebGPU" : "onnxruntime-web", version };
  },
  async replay({ episode, out, repeats }) {
    folders["/episode/"] = dirname(episode);
    const url = `${server.url}/episode/${encodeURIComponent(basename(episode))}`;
    const { ms, content } = await page.evaluate(
      ([where, count]) => /** @type {Page} */ (globalThis).harness.replay(where, count),
      /** @type {[string, number]} */ ([url, repeats]),
    );
    await writeFile(out, Uint8Array.from(content));
    return { ms };
  },
});
await browser.close();
await server.close();
