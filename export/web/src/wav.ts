/** Recordings: .wav files and sample rates, as `edgemeta/data/_wav.py` reads them. */

import { EdgemetaError } from "./errors.js";
import { fft, ifft, zeros } from "./fft.js";

/** A decoded file: (n,) samples, full scale = 1, channels averaged; and its rate in Hz. */
export interface Recording {
  readonly samples: Float32Array;
  readonly rate: number;
}

const PCM = 1;
const EXTENSIBLE = 0xfffe; // PCM too, with more said of it

/**
 * Read a PCM file of 8, 16, 24 or 32 bits.
 *
 * @throws EdgemetaError of kind "input": it is damaged, empty, or compressed.
 */
export function readWav(content: Uint8Array): Recording {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const tag = (at: number) => String.fromCharCode(...content.subarray(at, at + 4));
  if (content.length < 12 || tag(0) !== "RIFF" || tag(8) !== "WAVE") throw refused("no RIFF header");
  let format: { kind: number; channels: number; rate: number; width: number } | null = null;
  for (let at = 12; at + 8 <= content.length; ) {
    const [name, size] = [tag(at), view.getUint32(at + 4, true)];
    const begin = at + 8;
    if (name === "fmt " && size >= 16 && begin + 16 <= content.length) {
      format = {
        kind: view.getUint16(begin, true),
        channels: view.getUint16(begin + 2, true),
        rate: view.getUint32(begin + 4, true),
        width: Math.ceil(view.getUint16(begin + 14, true) / 8),
      };
    }
    if (name === "data" && format !== null) {
      const { kind, channels, rate, width } = format;
      const known = (kind === PCM || kind === EXTENSIBLE) && width >= 1 && width <= 4;
      if (!known || channels < 1 || rate < 1) throw refused(`format ${kind} of ${8 * width} bits`);
      const frames = Math.floor(Math.min(size, content.length - begin) / (width * channels));
      if (frames === 0) throw refused("no samples");
      return { samples: decoded(view, begin, frames, channels, width), rate };
    }
    at = begin + size + (size % 2);
  }
  throw refused("no sound in it");
}

/**
 * Bring a recording to another sample rate, by cutting or filling its Fourier spectrum.
 *
 * @param samples (n,).
 * @param rate theirs, in Hz.
 * @param wanted in Hz.
 * @returns (round(n * wanted / rate),).
 */
export function resample(samples: Float32Array, rate: number, wanted: number): Float32Array {
  if (rate === wanted) return samples;
  const size = samples.length;
  const count = Math.max(1, Math.round((size * wanted) / rate));
  const given = zeros(size);
  given.re.set(samples);
  const spectrum = fft(given);
  const kept = zeros(count);
  for (let k = 0; k <= Math.min(size, count) / 2; k++) {
    const own = k === 0 || 2 * k === count; // its own mirror image: a real number
    const [re, im] = [spectrum.re[k] ?? 0, own ? 0 : (spectrum.im[k] ?? 0)];
    kept.re[k] = re;
    kept.im[k] = im;
    if (own) continue;
    kept.re[count - k] = re;
    kept.im[count - k] = -im;
  }
  return Float32Array.from(ifft(kept).re, (value) => (value * count) / size);
}

function decoded(view: DataView, begin: number, frames: number, channels: number, width: number) {
  const samples = new Float32Array(frames);
  for (let frame = 0; frame < frames; frame++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) {
      const at = begin + (frame * channels + channel) * width;
      let value = 0;
      for (let byte = 0; byte < width; byte++) value += view.getUint8(at + byte) * 256 ** byte;
      const half = 2 ** (8 * width - 1);
      sum += (width === 1 ? value - half : value < half ? value : value - 2 * half) / half;
    }
    samples[frame] = sum / channels;
  }
  return samples;
}

function refused(got: string): EdgemetaError {
  return new EdgemetaError("input", "this file cannot be read as a recording", {
    got,
    expected: "uncompressed PCM",
    hint: "convert it to 16-bit PCM",
  });
}
