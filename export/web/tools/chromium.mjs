/** A headless Chromium that asks nobody outside for anything. */

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

export const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** Whether there is a Chromium to start. */
export const hasChromium = existsSync(CHROMIUM);

/** Arguments for WebGPU on SwiftShader, a GPU that the processor emulates. */
export const EMULATED_WEBGPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
  "--use-vulkan=swiftshader",
];

/**
 * Start Chromium, with an empty profile of its own.
 *
 * @param {string[]} more arguments.
 */
export async function startChromium(more = []) {
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: [
      "--no-sandbox", // as root, where there is no other user: tests in a container
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...more,
    ],
  });
}
