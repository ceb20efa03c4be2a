import assert from "node:assert/strict";
import test from "node:test";
import { fft, ifft } from "../dist/lib/fft.js";
import { EdgemetaError, readWav, resample, Spectrum } from "../dist/lib/index.js";

/** A formula's way: the sum that a transform is. @param {number[]} x */
function transformed(x) {
  const at = (/** @type {number} */ k) => {
    let [re, im] = [0, 0];
    x.forEach((value, n) => {
      re += value * Math.cos((2 * Math.PI * k * n) / x.length);
      im -= value * Math.sin((2 * Math.PI * k * n) / x.length);
    });
    return [re, im];
  };
  return x.map((_, k) => at(k));
}

for (const size of [1, 2, 3, 7, 8, 12, 64, 100]) {
  test(`a transform of ${size} numbers is the sum that it should be`, () => {
    const x = Array.from({ length: size }, (_, n) => Math.sin(3 * n) + n / size);
    const found = fft({ re: Float64Array.from(x), im: new Float64Array(size) });
    transformed(x).forEach(([re, im], k) => {
      // double precision, 100 terms of size 2
      assert.ok(Math.abs(/** @type {number} */ (found.re[k]) - /** @type {number} */ (re)) < 1e-11);
      assert.ok(Math.abs(/** @type {number} */ (found.im[k]) - /** @type {number} */ (im)) < 1e-11);
    });
    const back = ifft(found).re;
    x.forEach((value, n) => assert.ok(Math.abs(value - /** @type {number} */ (back[n])) < 1e-12));
  });
}

test("another rate is the same tone", () => {
  const tone = (/** @type {number} */ rate, /** @type {number} */ n) => Math.sin((2 * Math.PI * 440 * n) / rate);
  const given = Float32Array.from({ length: 22050 }, (_, n) => tone(44100, n));
  const found = resample(given, 44100, 16000);
  assert.equal(found.length, 8000);
  // 440 Hz has whole periods in half a second, so nothing leaks; float32
  found.forEach((value, n) => assert.ok(Math.abs(value - tone(16000, n)) < 1e-5, `${n}`));
});

test("features that are not computed here are refused", () => {
  const record = { features: "mfcc", sample_rate: 16000, seconds: 1, window_ms: 40, hop_ms: 20, mels: 40, coefficients: 10 };
  const refused = (/** @type {object} */ change) =>
    assert.throws(() => new Spectrum(/** @type {any} */ ({ ...record, ...change })), EdgemetaError);
  refused({ window_ms: 2000 });
  refused({ hop_ms: 0 });
  refused({ coefficients: 50 });
  refused({ seconds: 1e9 });
});

test("files that are no recordings are refused", () => {
  const header = [..."RIFF\0\0\0\0WAVEfmt "].map((c) => c.charCodeAt(0));
  const format = [16, 0, 0, 0, 1, 0, 1, 0, 0x80, 0x3e, 0, 0, 0, 0x7d, 0, 0, 2, 0, 16, 0];
  const data = [..."data"].map((c) => c.charCodeAt(0));
  const whole = Uint8Array.from([...header, ...format, ...data, 4, 0, 0, 0, 0, 0x40, 0, 0xc0]);
  assert.deepEqual([...readWav(whole).samples], [0.5, -0.5]);
  for (let size = 0; size < whole.length - 2; size++) {
    assert.throws(() => readWav(whole.slice(0, size)), /cannot be read as a recording/);
  }
  whole[20] = 3; // floats
  assert.throws(() => readWav(whole), /got format 3 of 16 bits, expected uncompressed PCM/);
});
