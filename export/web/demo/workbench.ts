/** What both tabs share: named classes with their samples, adapting, the prediction, the figures. */

import { EdgemetaError, type Learner, type Runner } from "../src/index.js";
import { drawLosses } from "./chart.js";
import { find, make } from "./dom.js";

/** One drawing or recording. */
export interface Sample {
  /** As the bundle takes it. */
  readonly x: Uint8Array | Float32Array;
  /** Draw it small. */
  paint(canvas: HTMLCanvasElement): void;
}

/** What a tab is about. */
export interface Subject {
  /** "drawing" or "recording". */
  readonly noun: string;
  /** What the answer says before there is one. */
  readonly prompt: string;
  /** Names that the classes have at first. */
  readonly names: readonly string[];
  /** Inner steps, and what multiplies their rate. */
  readonly adapt: { readonly steps: number; readonly lrScale: number };
  /** Name of the file that a state is saved to. */
  readonly file: string;
  /** Make an example of a class the current sample. */
  example(index: number): void;
  /** Let go of the current sample. */
  clear(): void;
}

const MOST_CLASSES = 6;

/** A class: its name, its samples, and its card in the page. */
class Card {
  readonly samples: Sample[] = [];
  readonly element: HTMLElement;
  readonly add: HTMLButtonElement;
  readonly #example: HTMLButtonElement;
  readonly #name: HTMLInputElement;
  readonly #thumbs: HTMLElement;
  readonly #share: HTMLElement;
  readonly #bar: HTMLElement;
  readonly #noun: string;
  readonly #changed: () => void;

  constructor(
    index: number,
    name: string,
    noun: string,
    on: { add(): void; example(): void; changed(): void },
  ) {
    this.#noun = noun;
    this.#changed = on.changed;
    this.#name = make("input", {
      value: name,
      maxLength: 24,
      spellcheck: false,
      autocomplete: "off",
      aria: { label: `Name ${index + 1}` },
      oninput: () => this.#label(),
    });
    this.#thumbs = make("ul", { className: "thumbs" });
    this.#share = make("span", { className: "share" });
    this.#bar = make("span", { className: "fill" });
    this.add = make("button", { type: "button", textContent: "Add", onclick: on.add });
    this.#example = make("button", {
      type: "button",
      className: "quiet",
      textContent: "Example",
      onclick: on.example,
    });
    this.element = make(
      "li",
      { className: "card", data: { tone: `${index % MOST_CLASSES}` } },
      this.#name,
      make(
        "div",
        { className: "meter" },
        make("span", { className: "bar", aria: { hidden: "true" } }, this.#bar),
        this.#share,
      ),
      this.#thumbs,
      make("div", { className: "buttons" }, this.add, this.#example),
    );
    this.#label();
  }

  get name(): string {
    return this.#name.value.trim() || (this.#name.getAttribute("aria-label") ?? "");
  }

  /** Keep a sample. */
  keep(sample: Sample): void {
    this.samples.push(sample);
    const canvas = make("canvas", { width: 56, height: 56 });
    const remove = make("button", { type: "button", className: "thumb" }, canvas);
    const item = make("li", {}, remove);
    remove.addEventListener("click", () => {
      const next = item.nextElementSibling ?? item.previousElementSibling;
      this.samples.splice(this.samples.indexOf(sample), 1);
      item.remove();
      this.#label();
      (next?.querySelector("button") ?? this.add).focus();
      this.#changed();
    });
    this.#thumbs.append(item);
    sample.paint(canvas);
    this.#label();
  }

  /** Show a probability; null for a class that was not learned. */
  show(share: number | null, best: boolean): void {
    this.#share.textContent = share === null ? "" : percent(share);
    this.#bar.style.width = `${100 * (share ?? 0)}%`;
    this.element.classList.toggle("best", best);
  }

  /** Draw the samples anew, in other colours. */
  repaint(): void {
    this.#thumbs.querySelectorAll("canvas").forEach((canvas, k) => this.samples[k]?.paint(canvas));
  }

  #label(): void {
    this.add.setAttribute("aria-label", `Add this ${this.#noun} to ${this.name}`);
    this.#example.setAttribute("aria-label", `Use an example ${this.#noun} of ${this.name}`);
    this.#thumbs.setAttribute("aria-label", `${this.#noun}s of ${this.name}`);
    this.#thumbs.querySelectorAll("button").forEach((button, k) => {
      const text = `Delete ${this.#noun} ${k + 1} of ${this.name}`;
      button.setAttribute("aria-label", text);
      button.title = text;
    });
  }
}

/** The cards, buttons and figures of one tab. */
export class Workbench {
  readonly #runner: Runner;
  readonly #subject: Subject;
  readonly #root: HTMLElement;
  #cards: Card[] = [];
  /** The cards of the classes that the learner knows, by class index. */
  #learned: readonly Card[] = [];
  #learner: Learner | null = null;
  #current: Sample | null = null;
  #predicting = false;
  #again = false;
  #announce = false;

  /**
   * @param root the tab's panel of `index.html`, whose template `teaching` is added to it.
   * @param runner of a classifier with a shared head.
   * @param subject what the tab is about.
   */
  constructor(root: HTMLElement, runner: Runner, subject: Subject) {
    this.#root = root;
    this.#runner = runner;
    this.#subject = subject;
    find(".right", root).append(find<HTMLTemplateElement>("#teaching").content.cloneNode(true));
    find("figcaption", root).textContent = `loss on your ${subject.noun}s, per step`;
    for (const name of subject.names.slice(0, 3)) this.#addCard(name);
    this.#on(".adapt", () => this.#adapt());
    this.#on(".more", () => {
      this.#addCard(subject.names[this.#cards.length] ?? `Name ${this.#cards.length + 1}`);
      this.#cards.at(-1)?.element.querySelector("input")?.select();
    });
    this.#on(".save", () => this.#save());
    const file = find<HTMLInputElement>(".load input", root);
    file.addEventListener("change", () => {
      const [chosen] = file.files ?? [];
      if (chosen !== undefined) void this.#attempt(() => this.#load(chosen));
      file.value = ""; // the same file may be chosen again
    });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#cards.forEach((card) => card.repaint()));
    this.#update();
  }

  /** Whether there is something learned to predict with. */
  get hasLearned(): boolean {
    return this.#learner !== null;
  }

  /**
   * Say what is on the pad, or was heard last.
   *
   * @param sample null for nothing.
   * @param finished whether a screen reader is to hear the prediction; not while a stroke is drawn.
   */
  setCurrent(sample: Sample | null, finished: boolean): void {
    this.#current = sample;
    this.#announce ||= finished;
    this.#update();
    void this.#predict();
  }

  /** Show a text below the buttons, an error for example. */
  note(text: string): void {
    find(".note", this.#root).textContent = text;
  }

  #on(selector: string, work: () => Promise<void> | void): void {
    find<HTMLButtonElement>(selector, this.#root).addEventListener("click", () => {
      void this.#attempt(work);
    });
  }

  async #attempt(work: () => Promise<void> | void): Promise<void> {
    try {
      this.note("");
      await work();
    } catch (error) {
      this.note(error instanceof EdgemetaError ? `${error.message}.` : String(error));
    }
  }

  #addCard(name: string): Card {
    const index = this.#cards.length;
    const card: Card = new Card(index, name, this.#subject.noun, {
      add: () => this.#add(card),
      example: () => this.#subject.example(index),
      changed: () => this.#changed(),
    });
    this.#cards.push(card);
    find(".cards", this.#root).append(card.element);
    this.#update();
    return card;
  }

  #add(card: Card): void {
    if (this.#current === null) return;
    card.keep(this.#current);
    const { noun } = this.#subject;
    this.#say(`Added. ${card.name} has ${counted(card.samples.length, noun)}.`);
    this.#subject.clear();
    this.#changed();
  }

  #changed(): void {
    if (this.#learner !== null) this.note("Adapt again to learn what you changed.");
    this.#update();
  }

  /** Enable what can be done now. */
  #update(): void {
    for (const card of this.#cards) card.add.disabled = this.#current === null;
    const ready = this.#cards.filter((card) => card.samples.length > 0).length >= 2;
    find<HTMLButtonElement>(".adapt", this.#root).disabled = !ready;
    find<HTMLButtonElement>(".save", this.#root).disabled = this.#learner === null;
    find<HTMLButtonElement>(".more", this.#root).hidden = this.#cards.length >= MOST_CLASSES;
    find(".hint", this.#root).textContent = ready
      ? ""
      : `Give two names or more one ${this.#subject.noun} each, better three.`;
    this.#root.classList.toggle("ready", ready);
    if (this.#current === null || this.#learner === null) this.#showNothing();
  }

  async #adapt(): Promise<void> {
    const cards = this.#cards.filter((card) => card.samples.length > 0);
    const x = cards.flatMap((card) => card.samples.map((sample) => sample.x));
    const y = cards.flatMap((card, label) => card.samples.map(() => label));
    const began = performance.now();
    const learner = await this.#runner.adapt(x, y, {
      ...this.#subject.adapt,
      ways: cards.length,
    });
    const ms = performance.now() - began;
    this.#learn(learner, cards);
    drawLosses(find<SVGSVGElement>(".losses", this.#root), learner.losses);
    find(".adapt-ms", this.#root).textContent = milliseconds(ms);
    find(".from", this.#root).textContent = counted(x.length, this.#subject.noun);
    find(".figures", this.#root).removeAttribute("hidden");
    this.#say(
      `Learned ${cards.length} names from ${counted(x.length, this.#subject.noun)} ` +
        `in ${milliseconds(ms)}.`,
    );
    await this.#predict();
  }

  #learn(learner: Learner, cards: readonly Card[]): void {
    this.#learner = learner;
    this.#learned = cards;
    this.#root.classList.add("learned");
    this.#update();
  }

  async #save(): Promise<void> {
    if (this.#learner === null) return;
    const names = this.#learned.map((card) => card.name);
    const distinct = names.map((name, k) => (names.indexOf(name) < k ? `${name} ${k + 1}` : name));
    const content = await this.#learner.save(distinct);
    const url = URL.createObjectURL(new Blob([content as BlobPart]));
    make("a", { href: url, download: this.#subject.file }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
    this.note(`Saved as ${this.#subject.file}; edgemeta reads it in Python, too.`);
  }

  async #load(file: File): Promise<void> {
    const content = new Uint8Array(await file.arrayBuffer());
    const learner = await this.#runner.loadState(content);
    const labels = learner.labels ?? [];
    if ((learner.ways ?? 0) > MOST_CLASSES) throw new Error(`This page shows ${MOST_CLASSES} names.`);
    for (const card of this.#cards) card.element.remove();
    this.#cards = [];
    for (let k = 0; k < (learner.ways ?? 0); k++) this.#addCard(`${labels[k] ?? `Name ${k + 1}`}`);
    this.#learn(learner, this.#cards);
    find(".figures", this.#root).setAttribute("hidden", "");
    this.note(`Loaded ${file.name}: it knows ${this.#cards.map((card) => card.name).join(", ")}.`);
    await this.#predict();
  }

  /** Predict the current sample, and once more if it has changed meanwhile. */
  async #predict(): Promise<void> {
    this.#again = true;
    if (this.#predicting) return;
    this.#predicting = true;
    while (this.#again) {
      this.#again = false;
      await this.#attemptPrediction();
    }
    this.#predicting = false;
  }

  async #attemptPrediction(): Promise<void> {
    const [sample, learner, cards] = [this.#current, this.#learner, this.#learned];
    if (sample === null || learner === null) return;
    try {
      const began = performance.now();
      const [shares] = await learner.predictProba([sample.x]);
      const ms = performance.now() - began;
      if (this.#current === null || this.#learner !== learner || shares === undefined) return;
      const best = shares.indexOf(Math.max(...shares));
      for (const card of this.#cards) {
        const label = cards.indexOf(card);
        card.show(label < 0 ? null : (shares[label] ?? 0), label === best);
      }
      const [name, share] = [cards[best]?.name ?? "", percent(shares[best] ?? 0)];
      this.#answer(name, share);
      find(".predict-ms", this.#root).textContent = milliseconds(ms);
      if (this.#announce) this.#say(`${name}, ${share}`);
      this.#announce = false;
    } catch (error) {
      this.note(String(error));
    }
  }

  #showNothing(): void {
    for (const card of this.#cards) card.show(null, false);
    const { prompt, noun } = this.#subject;
    this.#answer(this.#learner === null ? prompt : `Your next ${noun}?`, "");
  }

  #answer(text: string, share: string): void {
    const answer = find(".answer", this.#root);
    answer.classList.toggle("given", share !== "");
    find(".what", answer).textContent = text;
    find(".sure", answer).textContent = share;
  }

  /** Have a screen reader say something. */
  #say(text: string): void {
    find(".spoken", this.#root).textContent = text;
  }
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
