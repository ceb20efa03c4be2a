import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { DEMO, screenshot, withDemo } from "./page.mjs";

// A bundle that is not there yet has no tab; tests/web makes one and names the page that has it.
const skip = existsSync(`${DEMO}/bundles/words`) ? false : "the page has no bundle of words";
const DESKTOP = { viewport: { width: 1200, height: 860 } };
const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

/** Learn three example sounds. @param {import("playwright-core").Page} page */
async function teach(page) {
  await page.getByRole("tab", { name: "Listen" }).click();
  const listen = page.locator("#listen");
  for (let shot = 0; shot < 3; shot++) {
    for (const name of ["Rise", "Fall", "Beeps"]) {
      await listen.getByRole("button", { name: `Use an example recording of ${name}` }).click();
      await listen.getByRole("button", { name: `Add this recording to ${name}` }).click();
    }
  }
  await listen.getByRole("button", { name: "Adapt" }).click();
  await listen.locator(".figures").waitFor();
  return listen;
}

/** Return a 16-bit PCM file. @param {Float32Array} samples @param {number} rate */
function wav(samples, rate) {
  const content = Buffer.alloc(44 + 2 * samples.length);
  content.write("RIFF", 0);
  content.writeUInt32LE(36 + 2 * samples.length, 4);
  content.write("WAVEfmt ", 8);
  content.writeUInt32LE(16, 16);
  content.writeUInt16LE(1, 20);
  content.writeUInt16LE(1, 22);
  content.writeUInt32LE(rate, 24);
  content.writeUInt32LE(2 * rate, 28);
  content.writeUInt16LE(2, 32);
  content.writeUInt16LE(16, 34);
  content.write("data", 36);
  content.writeUInt32LE(2 * samples.length, 40);
  samples.forEach((value, n) => content.writeInt16LE(Math.round(32767 * value), 44 + 2 * n));
  return content;
}

/**
 * Return a falling tone of 0.6 s in a room as quiet as that of the example sounds: no recording is
 * digitally silent, and to a word that is, all that was learned with noise is as foreign.
 *
 * @param {number} seconds @param {number} rate
 */
function falling(seconds, rate) {
  let phase = 0;
  return Float32Array.from({ length: seconds * rate }, (_, n) => {
    const place = (n / rate - seconds / 2 + 0.3) / 0.6;
    const noise = 0.002 * (Math.random() - 0.5);
    if (place < 0 || place > 1) return noise;
    phase += (2 * Math.PI * (1200 - 900 * place)) / rate;
    return noise + 0.4 * Math.sin(phase) * Math.min(1, 20 * place, 20 * (1 - place));
  });
}

test("it learns sounds from examples, and reads files", { skip }, async () => {
  await withDemo(DESKTOP, async ({ page }) => {
    const listen = await teach(page);
    let right = 0;
    for (let k = 0; k < 3; k++) {
      for (const name of ["Rise", "Fall", "Beeps"]) {
        await listen.getByRole("button", { name: `Use an example recording of ${name}` }).click();
        await listen.locator(".answer.given").waitFor();
        right += Number((await listen.locator(".what").innerText()) === name);
      }
    }
    assert.ok(right >= 8, `${right} of 9`);
    await listen.locator(".upload input").setInputFiles({
      name: "fall.wav",
      mimeType: "audio/wav",
      buffer: wav(falling(2, 44_100), 44_100),
    });
    await listen.getByText("Read fall.wav. Add it to a name.").waitFor();
    assert.equal(await listen.locator(".what").innerText(), "Fall");
    await listen.locator(".upload input").setInputFiles({
      name: "wrong.wav",
      mimeType: "audio/wav",
      buffer: Buffer.from("hello"),
    });
    await listen.getByText(/cannot be read as a recording: got no RIFF header/).waitFor();
    await screenshot(page, "listen-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await screenshot(page, "listen-dark");
  });
});

/**
 * Return a function that says of each time that the microphone was asked for whether it is "live".
 *
 * @param {import("playwright-core").Page} page
 * @returns {Promise<() => Promise<string[]>>}
 */
async function microphones(page) {
  await page.evaluate(() => {
    const devices = navigator.mediaDevices;
    const ask = devices.getUserMedia.bind(devices);
    /** @type {MediaStreamTrack[]} */
    const tracks = [];
    Object.assign(globalThis, { tracks });
    devices.getUserMedia = async (constraints) => {
      const stream = await ask(constraints);
      tracks.push(...stream.getTracks());
      return stream;
    };
  });
  return () => page.evaluate("tracks.map((track) => track.readyState)");
}

test("it records and listens with a microphone, which it asks for when it is needed", { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "edgemeta-"));
  const file = join(folder, "microphone.wav");
  await writeFile(file, wav(falling(2, 16_000), 16_000)); // Chromium's microphone plays it in a loop
  const flags = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    `--use-file-for-fake-audio-capture=${file}`,
    "--autoplay-policy=no-user-gesture-required",
  ];
  await withDemo({ ...DESKTOP, permissions: ["microphone"] }, async ({ page }) => {
    const listen = await teach(page);
    const heard = await microphones(page);
    assert.deepEqual(await heard(), []);
    await listen.getByRole("button", { name: "Record", exact: true }).click();
    await listen.getByText("Speak now.").waitFor();
    assert.deepEqual(await heard(), ["live"]);
    await listen.getByText("Recorded. Add it to a name, or record again.").waitFor();
    await page.waitForFunction("tracks.every((track) => track.readyState === 'ended')");
    await listen.locator(".answer.given").waitFor();
    assert.equal(await listen.locator(".what").innerText(), "Fall");
    await listen.getByRole("button", { name: "Add this recording to Fall" }).click();
    await listen.getByRole("button", { name: "Listen", exact: true }).click();
    await listen.locator(".answer.given").waitFor();
    assert.equal(await listen.locator(".what").innerText(), "Fall");
    await listen.getByRole("button", { name: "Listen", exact: true }).click();
    assert.equal(await listen.locator(".listen").getAttribute("aria-pressed"), "false");
    await page.waitForFunction("tracks.every((track) => track.readyState === 'ended')");
    assert.equal((await heard()).length, 2);
  }, flags);
  await rm(folder, { recursive: true });
});

test("it works on a phone, and without a microphone", { skip }, async () => {
  await withDemo(PHONE, async ({ page }) => {
    const listen = await teach(page);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
    await listen.getByRole("button", { name: "Record", exact: true }).click();
    await listen.locator(".heard").getByText(/^(No microphone was found|The microphone was not allowed)\. Files and examples work/).waitFor();
    assert.ok(await listen.getByRole("button", { name: "Record", exact: true }).isEnabled());
    await screenshot(page, "listen-phone");
  });
});
