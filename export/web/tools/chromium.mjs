/** A headless Chromium that asks nobody outside for anything. */

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

export const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** Whether there is a Chromium to start. */
export const hasChromium = existsSync(CHROMIUM);

// For WebGPU on SwiftShader, a GPU that the processor emulates.
const EMULATED_GPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
  "--use-vulkan=swiftshader",
];

/**
 * Start Chromium, with an empty profile of its own.
 *
 * @param {string[]} more arguments.
 * @param {boolean} gpu whether pages have WebGPU, which the processor emulates.
 */
export async function startChromium(more = [], gpu = false) {
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
      ...(gpu ? EMULATED_GPU : ["--disable-gpu"]),
      ...more,
    ],
  });
}
