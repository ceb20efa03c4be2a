/** Log-mel spectra and MFCC, the same numbers as `edgemeta/data/_mfcc.py` computes. */

import { EdgemetaError } from "./errors.js";
import { fft, zeros } from "./fft.js";
import type { Manifest } from "./manifest.js";

/** How training turned clips into features: `training.result.preprocessing` of a manifest. */
export interface SpectrumRecord {
  readonly features: "mfcc" | "logmel";
  /** Of the clips, in Hz. */
  readonly sample_rate: number;
  /** Length of the clips. */
  readonly seconds: number;
  /** Length of a frame. */
  readonly window_ms: number;
  /** From one frame to the next. */
  readonly hop_ms: number;
  /** Filters. */
  readonly mels: number;
  /** MFCC that are kept; ignored for "logmel". */
  readonly coefficients: number;
}

const LOWEST_HZ = 20;
const LOG_OFFSET = 1e-6;
const MOST_NUMBERS = 2 ** 26; // in a clip, or in a filter bank: no record is to ask for all memory

/**
 * How a clip becomes features: frames under a periodic Hann window, zeros up to the next power of
 * two, power spectrum, triangular filters evenly spaced on HTK's mel scale, logarithm; for MFCC the
 * orthonormal DCT-II of that. The formulas stand in `edgemeta/data/_mfcc.py`.
 */
export class Spectrum {
  readonly record: SpectrumRecord;
  /** Samples of a clip. */
  readonly length: number;
  /** (frames, coefficients) or (frames, mels). */
  readonly shape: readonly [number, number];
  readonly #window: number;
  readonly #hop: number;
  readonly #size: number;
  readonly #taper: Float64Array;
  readonly #filters: readonly Float64Array[];
  readonly #cosines: readonly Float64Array[];

  constructor(record: SpectrumRecord) {
    const { features, sample_rate, seconds, window_ms, hop_ms, mels, coefficients } = record;
    this.record = record;
    this.length = Math.round(seconds * sample_rate);
    this.#window = Math.floor((window_ms * sample_rate) / 1000);
    this.#hop = Math.floor((hop_ms * sample_rate) / 1000);
    const kept = features === "mfcc" ? coefficients : mels;
    const most = Math.max(this.length, mels * this.#window);
    if (!(this.#hop >= 1 && this.#window >= 2 && this.#window <= this.length && kept <= mels)) {
      throw new EdgemetaError("bundle", "the frames do not fit the clips", { got: show(record) });
    }
    if (!(most <= MOST_NUMBERS)) {
      throw new EdgemetaError("bundle", "the features need too much memory", { got: show(record) });
    }
    this.shape = [1 + Math.floor((this.length - this.#window) / this.#hop), kept];
    this.#size = 2 ** Math.ceil(Math.log2(this.#window));
    this.#taper = Float64Array.from(
      { length: this.#window },
      (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / this.#window),
    );
    this.#filters = filters(mels, this.#size, sample_rate);
    this.#cosines = Array.from({ length: features === "mfcc" ? coefficients : 0 }, (_, k) =>
      Float64Array.from(
        { length: mels },
        (_, m) => Math.sqrt((k === 0 ? 1 : 2) / mels) * Math.cos((Math.PI * k * (m + 0.5)) / mels),
      ),
    );
  }

  /**
   * Return the spectrum that a bundle was trained on; null for a bundle of something else.
   *
   * @throws EdgemetaError of kind "bundle": the record asks for features that are not computed here.
   */
  static of(manifest: Manifest): Spectrum | null {
    const training = manifest.record["training"] as { result?: { preprocessing?: unknown } } | null;
    const record = training?.result?.preprocessing as Record<string, unknown> | undefined;
    if (record?.["features"] === undefined) return null;
    const spectrum = new Spectrum(record as unknown as SpectrumRecord);
    const expected: Record<string, unknown> = {
      n_fft: spectrum.#size,
      taper: "hann, periodic",
      mel_scale: "htk",
      lowest_hz: LOWEST_HZ,
      highest_hz: spectrum.record.sample_rate / 2,
      log_offset: LOG_OFFSET,
    };
    const differing = Object.keys(expected).filter((name) => record[name] !== expected[name]);
    if (!["mfcc", "logmel"].includes(spectrum.record.features)) differing.push("features");
    if (`${spectrum.shape}` !== `${manifest.input.shape}`) differing.push("shape");
    if (differing.length > 0) {
      throw new EdgemetaError("bundle", "these features are not computed here", {
        got: differing.join(", "),
        hint: "use the edgemeta that made the bundle",
      });
    }
    return spectrum;
  }

  /**
   * Compute the features of a clip.
   *
   * @param clip (length,) full scale = 1; a shorter one is filled with silence, a longer one cut.
   * @returns (frames, coefficients) or (frames, mels), in C order.
   */
  compute(clip: Float32Array): Float32Array {
    const [frames, width] = this.shape;
    const found = new Float32Array(frames * width);
    for (let frame = 0; frame < frames; frame++) {
      const bands = this.#bands(clip, frame * this.#hop);
      const row = this.#cosines.length > 0 ? this.#cosines.map((each) => dot(each, bands)) : bands;
      found.set(row, frame * width);
    }
    return found;
  }

  /** Return the logarithm of each band's energy in the frame that begins at a sample. */
  #bands(clip: Float32Array, begin: number): Float64Array {
    const frame = zeros(this.#size);
    for (let n = 0; n < this.#window; n++) {
      frame.re[n] = (clip[begin + n] ?? 0) * (this.#taper[n] ?? 0);
    }
    const { re, im } = fft(frame);
    const power = Float64Array.from(
      { length: this.#size / 2 + 1 },
      (_, i) => (re[i] ?? 0) ** 2 + (im[i] ?? 0) ** 2,
    );
    return Float64Array.from(this.#filters, (filter) => Math.log(dot(filter, power) + LOG_OFFSET));
  }
}

/** Return (mels) filters of (bins,). */
function filters(mels: number, size: number, rate: number): Float64Array[] {
  const [low, high] = [mel(LOWEST_HZ), mel(rate / 2)];
  const step = (high - low) / (mels + 1);
  return Array.from({ length: mels }, (_, m) =>
    Float64Array.from({ length: size / 2 + 1 }, (_, bin) => {
      const place = (mel((bin * rate) / size) - (low + m * step)) / step; // 1 in its middle
      return Math.max(0, 1 - Math.abs(place - 1));
    }),
  );
}

function mel(hertz: number): number {
  return 2595 * Math.log10(1 + hertz / 700);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += (a[k] ?? 0) * (b[k] ?? 0);
  return sum;
}

function show(record: SpectrumRecord): string {
  return JSON.stringify(record);
}
