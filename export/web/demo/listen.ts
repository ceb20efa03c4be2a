/** The tab that learns spoken words, from the microphone, from files or from example sounds. */

import { readWav, resample, type Runner, Spectrum } from "../src/index.js";
import { colour, find, fitted } from "./dom.js";
import { Microphone } from "./microphone.js";
import { centred, example, EXAMPLE_NAMES, hasWord, levels } from "./sound.js";
import { type Sample, Workbench } from "./workbench.js";

const LEAD = 0.4; // seconds that a recording is longer than a clip, before and after it
const TICK = 100; // milliseconds between two looks at what was heard
const REST = 700; // milliseconds after a word in which no other is looked for
const NO_MICROPHONE: Readonly<Record<string, string>> = {
  NotAllowedError: "The microphone was not allowed.",
  NotFoundError: "No microphone was found.",
};

/** Set up the tab in its panel. */
export function setUpListen(root: HTMLElement, runner: Runner): void {
  const spectrum = Spectrum.of(runner.manifest);
  if (spectrum === null) throw new Error("the bundle of words has no features of sound");
  new Listening(root, runner, spectrum);
}

class Listening {
  readonly #root: HTMLElement;
  readonly #spectrum: Spectrum;
  readonly #bench: Workbench;
  #microphone: Microphone | null = null;
  #timer = 0;
  #clip: Float32Array | null = null;
  #room = Infinity;
  #restUntil = 0;

  constructor(root: HTMLElement, runner: Runner, spectrum: Spectrum) {
    this.#root = root;
    this.#spectrum = spectrum;
    const { sample_rate: rate } = spectrum.record;
    this.#bench = new Workbench(root, runner, {
      noun: "recording",
      prompt: "Record a word",
      names: EXAMPLE_NAMES,
      adapt: { steps: runner.manifest.inner_steps, lrScale: 1 },
      file: "words.safetensors",
      example: (index) => this.#show(example(index, spectrum.length, rate, Math.random)),
      clear: () => this.#show(null),
    });
    this.#on(".record", () => this.#record());
    this.#on(".listen", () => this.#toggle());
    this.#on(".play", () => this.#play());
    const files = find<HTMLInputElement>(".upload input", root);
    files.addEventListener("change", () => void this.#attempt(() => this.#upload(files)));
    new ResizeObserver(() => this.#paint(this.#clip)).observe(find(".wave", root));
    this.#show(null);
  }

  #on(selector: string, work: () => Promise<void>): void {
    find(selector, this.#root).addEventListener("click", () => void this.#attempt(work));
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const why = error instanceof DOMException ? NO_MICROPHONE[error.name] : undefined;
      const said = error instanceof Error ? error.message : String(error);
      this.#say(why === undefined ? said : `${why} Files and examples work without it.`);
    }
  }

  get #rate(): number {
    return this.#spectrum.record.sample_rate;
  }

  get #seconds(): number {
    return this.#spectrum.record.seconds;
  }

  async #opened(): Promise<Microphone> {
    this.#microphone ??= await Microphone.open(this.#seconds + 2 * LEAD, this.#rate);
    return this.#microphone;
  }

  /** Let go of the microphone, unless the page listens. */
  async #release(): Promise<void> {
    if (this.#timer !== 0) return;
    await this.#microphone?.close();
    this.#microphone = null;
  }

  /** Record one clip: a countdown of sound, then the word is looked for in it. */
  async #record(): Promise<void> {
    const button = find<HTMLButtonElement>(".record", this.#root);
    button.disabled = true;
    try {
      const microphone = await this.#opened();
      const length = this.#seconds + 2 * LEAD;
      const end = performance.now() + 1000 * length;
      this.#say("Speak now.");
      while (performance.now() < end) {
        const left = (end - performance.now()) / 1000;
        button.textContent = `${left.toFixed(1)} s`;
        this.#paint(microphone.last(this.#seconds, this.#rate));
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      this.#show(centred(microphone.last(length, this.#rate), this.#spectrum.length, this.#rate));
      this.#say("Recorded. Add it to a name, or record again.");
    } finally {
      button.disabled = false;
      button.textContent = "Record";
      await this.#release();
    }
  }

  /** Begin or end to listen for words. */
  async #toggle(): Promise<void> {
    const button = find<HTMLButtonElement>(".listen", this.#root);
    if (this.#timer !== 0) {
      clearInterval(this.#timer);
      this.#timer = 0;
      button.setAttribute("aria-pressed", "false");
      this.#say("");
      await this.#release();
      return;
    }
    const microphone = await this.#opened();
    button.setAttribute("aria-pressed", "true");
    this.#say("Listening.");
    this.#room = Infinity;
    this.#timer = window.setInterval(() => this.#look(microphone), TICK);
  }

  /** Look whether the last second has a word in its middle. */
  #look(microphone: Microphone): void {
    const sound = microphone.last(this.#seconds, this.#rate);
    const power = levels(sound, this.#rate);
    const quiet = [...power].sort((a, b) => a - b)[Math.floor(power.length / 4)] ?? 0;
    this.#room = Math.min(1.01 * Math.max(this.#room, 1e-9), quiet); // follows a louder room slowly
    if (performance.now() < this.#restUntil) return;
    this.#paint(sound);
    if (!hasWord(power, this.#room)) return;
    this.#restUntil = performance.now() + REST;
    this.#show(centred(sound, this.#spectrum.length, this.#rate));
  }

  async #upload(input: HTMLInputElement): Promise<void> {
    const [file] = input.files ?? [];
    if (file === undefined) return;
    const content = new Uint8Array(await file.arrayBuffer());
    input.value = ""; // the same file may be chosen again
    const { samples, rate } = readWav(content);
    this.#show(centred(resample(samples, rate, this.#rate), this.#spectrum.length, this.#rate));
    this.#say(`Read ${file.name}. Add it to a name.`);
  }

  async #play(): Promise<void> {
    if (this.#clip === null) return;
    const context = new AudioContext();
    const buffer = context.createBuffer(1, this.#clip.length, this.#rate);
    buffer.copyToChannel(this.#clip.slice(), 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    source.onended = () => void context.close();
    source.start();
  }

  /** Make a clip the current sample. */
  #show(clip: Float32Array | null): void {
    this.#clip = clip;
    find<HTMLButtonElement>(".play", this.#root).disabled = clip === null;
    this.#paint(clip);
    this.#bench.setCurrent(clip === null ? null : this.#sample(clip), true);
  }

  #sample(clip: Float32Array): Sample {
    return {
      x: this.#spectrum.compute(clip),
      paint(canvas) {
        canvas.width = canvas.height = 84;
        const context = canvas.getContext("2d");
        if (context !== null) paintWave(context, clip, 84, 84);
      },
    };
  }

  #paint(sound: Float32Array | null): void {
    const canvas = find<HTMLCanvasElement>(".wave", this.#root);
    if (canvas.clientWidth === 0) return; // on a tab that is not shown
    const context = fitted(canvas);
    const silence = new Float32Array(this.#spectrum.length);
    paintWave(context, sound ?? silence, canvas.clientWidth, canvas.clientHeight);
  }

  #say(text: string): void {
    find(".heard", this.#root).textContent = text;
  }
}

/** Draw the loudness of a sound over time, as bars about the middle. */
function paintWave(context: CanvasRenderingContext2D, sound: Float32Array, wide: number, high: number) {
  const bars = Math.max(8, Math.floor(wide / 6));
  const size = Math.max(1, Math.floor(sound.length / bars));
  context.fillStyle = colour("accent");
  for (let k = 0; k < bars; k++) {
    const part = sound.subarray(k * size, (k + 1) * size);
    const peak = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const tall = Math.max(2, Math.min(1, Math.sqrt(peak)) * high * 0.9);
    context.beginPath();
    context.roundRect((k * wide) / bars + 1, (high - tall) / 2, wide / bars - 2, tall, 2);
    context.fill();
  }
}
