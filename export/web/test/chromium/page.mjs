/** The demo page in Chromium, and hands that draw. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { startChromium } from "../../tools/chromium.mjs";
import { serve } from "../../tools/serve.mjs";

export const DEMO =
  process.env["EDGEMETA_DEMO"] ?? fileURLToPath(new URL("../../dist/demo", import.meta.url));
const PATIENCE = 60_000; // milliseconds, for machines that do other things too
const SCREENSHOTS = fileURLToPath(new URL("../../dist/screenshots/", import.meta.url));

/**
 * Open the demo; it must ask its own server alone, and print no error.
 *
 * @param {import("playwright-core").BrowserContextOptions} options
 * @param {(opened: { page: import("playwright-core").Page, odd: string[] }) => Promise<void>} work gets
 *   the list of what is odd so far.
 * @param {string[]} flags of Chromium.
 */
export async function withDemo(options, work, flags = []) {
  const server = await serve({ "/": DEMO });
  const browser = await startChromium(flags);
  try {
    const page = await (await browser.newContext(options)).newPage();
    /** @type {string[]} */
    const odd = [];
    page.on("request", (request) => {
      if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(server.url)) odd.push(request.url());
    });
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) odd.push(message.text());
    });
    page.on("pageerror", (error) => odd.push(String(error)));
    page.setDefaultTimeout(PATIENCE);
    await page.addInitScript(seedRandom);
    await page.goto(`${server.url}/`);
    await page.waitForSelector("main:not([aria-busy])");
    await work({ page, odd });
    assert.deepEqual(odd, []);
  } finally {
    await browser.close();
    await server.close();
  }
}

/** Give the page the same random numbers each time (mulberry32, by Tommy Ettinger). */
function seedRandom() {
  let state = 1;
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @param {import("playwright-core").Page} page @param {string} name */
export async function screenshot(page, name) {
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: `${SCREENSHOTS}${name}.png`, fullPage: true });
}

/** Symbols that are not among the page's examples, on a square of side 1. */
export const SYMBOLS = {
  Triangle: [[0.5, 0.15], [0.85, 0.8], [0.15, 0.8], [0.5, 0.15]],
  Ring: Array.from({ length: 25 }, (_, k) => [
    0.5 + 0.35 * Math.sin((k * Math.PI) / 12),
    0.5 - 0.35 * Math.cos((k * Math.PI) / 12),
  ]),
  Zigzag: [[0.1, 0.3], [0.3, 0.7], [0.5, 0.3], [0.7, 0.7], [0.9, 0.3]],
};

/**
 * Draw a symbol with the mouse, shaken and stretched by chance.
 *
 * @param {import("playwright-core").Page} page
 * @param {keyof typeof SYMBOLS} name
 */
export async function draw(page, name) {
  const pad = page.locator("#draw .pad");
  await pad.scrollIntoViewIfNeeded();
  const box = await pad.boundingBox();
  assert.ok(box !== null);
  const spread = (/** @type {number} */ size) => (Math.random() - 0.5) * 2 * size;
  const [wide, high] = [0.8 + spread(0.15), 0.8 + spread(0.15)];
  const points = SYMBOLS[name].map(([x = 0, y = 0]) => ({
    x: box.x + box.width * (0.5 + (x - 0.5) * wide + spread(0.02)),
    y: box.y + box.height * (0.5 + (y - 0.5) * high + spread(0.02)),
  }));
  const [first, ...rest] = points;
  await page.mouse.move(first?.x ?? 0, first?.y ?? 0);
  await page.mouse.down();
  for (const { x, y } of rest) await page.mouse.move(x, y, { steps: 4 });
  await page.mouse.up();
}
