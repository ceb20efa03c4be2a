/** Clips of one word: where it is in a recording, and sounds to try the page with. */

const FRAMES_PER_SECOND = 50; // of the level

/** Return the mean square of each fiftieth of a second. */
export function levels(samples: Float32Array, rate: number): Float32Array {
  const size = Math.max(1, Math.floor(rate / FRAMES_PER_SECOND));
  return Float32Array.from({ length: Math.floor(samples.length / size) }, (_, k) => {
    const frame = samples.subarray(k * size, (k + 1) * size);
    return frame.reduce((sum, value) => sum + value * value, 0) / size;
  });
}

/**
 * Cut the clip with the loudest word out of a recording, the word in its middle, as the clips of
 * training have it.
 *
 * @param samples (n,) full scale = 1.
 * @param length of the clip; what the recording lacks is silence.
 * @param rate of both, in Hz.
 */
export function centred(samples: Float32Array, length: number, rate: number): Float32Array {
  const power = levels(samples, rate);
  const size = Math.max(1, Math.floor(rate / FRAMES_PER_SECOND));
  const frames = Math.max(1, Math.round(length / size));
  const quiet = [...power].sort((a, b) => a - b)[Math.floor(power.length / 4)] ?? 0;
  const above = power.map((value) => Math.max(0, value - 2 * quiet));
  let [best, loudest] = [0, -1];
  for (let first = 0; first + frames <= above.length; first++) {
    const sum = above.subarray(first, first + frames).reduce((a, b) => a + b, 0);
    if (sum > loudest) [best, loudest] = [first, sum];
  }
  const window = above.subarray(best, best + frames);
  const total = window.reduce((a, b) => a + b, 0);
  const place = window.reduce((sum, value, k) => sum + value * (k + 0.5), 0);
  const middle = total > 0 ? (best + place / total) * size : samples.length / 2;
  const begin = Math.round(middle - length / 2);
  return Float32Array.from({ length }, (_, k) => samples[begin + k] ?? 0);
}

/**
 * Whether a second of sound has a word in its middle: it is louder than the room, and quiet at both
 * ends.
 *
 * @param power as `levels` returns it.
 * @param room mean square of the room's noise.
 */
export function hasWord(power: Float32Array, room: number): boolean {
  const most = Math.max(...power);
  if (most < 8 * room + 1e-6) return false;
  const total = power.reduce((a, b) => a + b, 0);
  const middle = power.reduce((sum, value, k) => sum + value * (k + 0.5), 0) / total / power.length;
  return Math.abs(middle - 0.5) < 0.06;
}

export const EXAMPLE_NAMES = ["Rise", "Fall", "Beeps", "Buzz", "Knock", "Siren"];

/** Return an example sound, no two the same: (length,), full scale = 1. */
export function example(index: number, length: number, rate: number, random: () => number) {
  const [pitch, late] = [2 ** ((random() - 0.5) / 2), 0.04 * (random() - 0.5)];
  let phase = 0;
  return Float32Array.from({ length }, (_, n) => {
    const t = n / rate - 0.2 - late; // the sound takes 0.6 s in the middle of a second
    const noise = 0.002 * (random() - 0.5);
    if (t < 0 || t > 0.6) return noise;
    const place = t / 0.6;
    const shape = [
      { hertz: 300 + 900 * place, loud: 1 },
      { hertz: 1200 - 900 * place, loud: 1 },
      { hertz: 880, loud: place % 0.33 < 0.18 ? 1 : 0 },
      { hertz: 140, loud: 1 },
      { hertz: 220, loud: Math.exp(-20 * (place % 0.5)) },
      { hertz: 700 + 250 * Math.sin(4 * Math.PI * place), loud: 1 },
    ][index % 6] ?? { hertz: 440, loud: 1 };
    phase += (2 * Math.PI * shape.hertz * pitch) / rate;
    const wave = index % 6 === 3 ? Math.sign(Math.sin(phase)) * 0.6 : Math.sin(phase);
    return noise + 0.4 * shape.loud * wave * Math.min(1, 20 * place, 20 * (1 - place));
  });
}
