/** What the microphone hears, as samples; it is asked for when it is first needed. */

import { resample } from "../src/index.js";

/** The last seconds of sound. */
export class Microphone {
  readonly rate: number;
  #kept: Float32Array;
  readonly #context: AudioContext;
  readonly #stream: MediaStream;

  private constructor(context: AudioContext, stream: MediaStream, seconds: number) {
    this.rate = context.sampleRate;
    this.#context = context;
    this.#stream = stream;
    this.#kept = new Float32Array(Math.round(seconds * context.sampleRate));
  }

  /**
   * Ask for the microphone.
   *
   * @param seconds how much sound is kept.
   * @param rate at which it is wanted, in Hz; browsers that cannot do that give their own.
   * @throws Error there is none, or the user said no.
   */
  static async open(seconds: number, rate: number): Promise<Microphone> {
    if (navigator.mediaDevices === undefined) throw new Error("This browser gives no microphone here.");
    const audio = { channelCount: 1, echoCancellation: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    const { context, source } = connected(stream, rate);
    await context.audioWorklet.addModule(new URL("./capture.js", import.meta.url));
    const microphone = new Microphone(context, stream, seconds);
    const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    capture.port.onmessage = ({ data }: MessageEvent<Float32Array>) => microphone.#take(data);
    source.connect(capture);
    return microphone;
  }

  /** Return the last seconds of sound at another sample rate. */
  last(seconds: number, rate: number): Float32Array {
    const kept = this.#kept.subarray(-Math.round(seconds * this.rate));
    return resample(kept.slice(), this.rate, rate);
  }

  /** Let go of the microphone. */
  async close(): Promise<void> {
    for (const track of this.#stream.getTracks()) track.stop();
    await this.#context.close();
  }

  #take(samples: Float32Array): void {
    this.#kept.copyWithin(0, samples.length);
    this.#kept.set(samples, this.#kept.length - samples.length);
  }
}

/** Return an audio context at a rate, or at the microphone's own where Firefox asks for that. */
function connected(stream: MediaStream, sampleRate: number) {
  const context = new AudioContext({ sampleRate });
  try {
    return { context, source: context.createMediaStreamSource(stream) };
  } catch {
    void context.close();
    const own = new AudioContext();
    return { context: own, source: own.createMediaStreamSource(stream) };
  }
}
