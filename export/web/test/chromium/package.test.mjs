import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import test from "node:test";
import { startChromium } from "../../tools/chromium.mjs";
import { serve } from "../../tools/serve.mjs";

test("onnxruntime-web computes what PyTorch did", () => check(false));

test("so it does with WebGPU", () => check(true));

/** Replay the recorded episode of a bundle. @param {boolean} webgpu */
async function check(webgpu) {
  const at = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
  const server = await serve({
    "/": at("../../dist/parity"),
    "/bundle/": at("../../../../edgemeta/device/packaged/omniglot"),
  });
  const browser = await startChromium([], webgpu);
  try {
    const page = await browser.newPage();
    await page.goto(`${server.url}/${webgpu ? "#webgpu" : ""}`);
    await page.waitForFunction("globalThis.harness !== undefined");
    const found = await page.evaluate(async (url) => {
      const { harness } = /** @type {import("../../parity/page.ts").Page} */ (globalThis);
      await harness.load(url);
      return harness.verify();
    }, `${server.url}/bundle`);
    assert.equal(found.length, 4);
    for (const { largest, limit } of found) assert.ok(largest <= limit);
  } finally {
    await browser.close();
    await server.close();
  }
}
