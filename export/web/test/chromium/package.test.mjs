import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import test from "node:test";
import { startChromium } from "../../tools/chromium.mjs";
import { serve } from "../../tools/serve.mjs";

/** @typedef {import("../../parity/page.ts").Page} Page */

const RELEASED = /the learner was released/;

test("onnxruntime-web computes what PyTorch did", async () => {
  const { onGpu, released } = await check("");
  assert.deepEqual([onGpu, released], [0, ""]);
});

test("so it does with WebGPU, where the state stays on the card", async () => {
  const { onGpu, released } = await check("webgpu");
  assert.equal(onGpu, 2);
  assert.match(released, RELEASED);
});

test("so it does in a proxy, which takes no array from a caller", async () => {
  await check("proxy");
});

test("so it does with WebGPU in a proxy, where the state comes back each time", async () => {
  assert.equal((await check("webgpu,proxy")).onGpu, 0);
});

test("so it does without crypto.subtle, as on a page on plain http", async () => {
  await check("", () => Object.defineProperty(Crypto.prototype, "subtle", { value: undefined }));
});

/**
 * Replay the recorded episode of a bundle, and use arrays and learners again.
 *
 * @param {"" | "webgpu" | "proxy" | "webgpu,proxy"} where onnxruntime-web is to compute.
 * @param {() => void} before runs in the page before all else.
 */
async function check(where, before = () => {}) {
  const at = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
  const server = await serve({
    "/": at("../../dist/parity"),
    "/bundle/": at("../../../../edgemeta/device/packaged/omniglot"),
  });
  const browser = await startChromium([], where.includes("webgpu"));
  try {
    const page = await browser.newPage();
    await page.addInitScript(before);
    await page.goto(`${server.url}/#${where}`);
    await page.waitForFunction("globalThis.harness !== undefined");
    const { found, reused } = await page.evaluate(async (url) => {
      const { harness } = /** @type {Page} */ (globalThis);
      await harness.load(url);
      return { found: await harness.verify(), reused: await harness.reuse() };
    }, `${server.url}/bundle`);
    assert.equal(found.length, 4);
    for (const { largest, limit } of found) assert.ok(largest <= limit);
    assert.deepEqual(reused.apart, [0, 0]);
    assert.ok(reused.left > 0);
    return reused;
  } finally {
    await browser.close();
    await server.close();
  }
}
