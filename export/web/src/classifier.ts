/**
 * A classifier for named classes, which can reject samples that are like no class; it computes what
 * Python's `FewShotClassifier` does.
 *
 *     const classifier = new FewShotClassifier(runner, { reject: 0.4 });
 *     await classifier.fit(drawings, ["alef", "ba", "alef", "ba"]);
 *     const names = await classifier.predict(queries); // "alef", "ba" or "unknown"
 */

import { counts, findTemperature, folds } from "./calibration.js";
import { EdgemetaError } from "./errors.js";
import { type Compared, compared, familiarity, leadForAll, ownLead } from "./familiarity.js";
import { checkFinite } from "./guard.js";
import { checkSamples, type Samples } from "./inputs.js";
import { checkedLabels, classesOf } from "./labels.js";
import type { Learner } from "./learner.js";
import { mostWays } from "./manifest.js";
import { argmax, softmax } from "./probabilities.js";
import { chosenRows, stackedRows } from "./rows.js";
import type { Runner } from "./runner.js";
import { readSaved, type Saved, type Support, writeSaved } from "./saved.js";
import type { Label } from "./state.js";
import type { Tensor } from "./tensor.js";

/** How a classifier learns and predicts. */
export interface ClassifierOptions {
  /** Inner steps; by default the bundle's own number. */
  readonly steps?: number;
  /** Multiplies the inner learning rate; default 1. */
  readonly lrScale?: number;
  /** Find a temperature for the probabilities, by up to 5 more adaptations; default true. */
  readonly calibrate?: boolean;
  /** Samples less familiar than this are unknown; by default none is. */
  readonly reject?: number | null;
  /** What `predict` calls them; default "unknown". */
  readonly unknownLabel?: Label;
  /** Keep the samples, here and in what `save` returns, for `partialFit` and `forget`. */
  readonly keepSupport?: boolean;
}

/**
 * Learns classes from a few labelled samples each.
 *
 * A bundle that names its classes (`manifest.labels`) knows them already: labels are then these names,
 * all of its classes are there from the start, and those without samples are predicted as the bundle
 * does.
 */
export class FewShotClassifier {
  readonly runner: Runner;
  readonly options: Required<Omit<ClassifierOptions, "steps">> & Pick<ClassifierOptions, "steps">;
  #fitted: Saved | null = null;

  /** @throws EdgemetaError of kind "input": the bundle is for regression, or an option is wrong. */
  constructor(runner: Runner, options: ClassifierOptions = {}) {
    const { lrScale = 1, calibrate = true, reject = null, ...rest } = options;
    const { unknownLabel = "unknown", keepSupport = false, steps } = rest;
    if (runner.manifest.task !== "classification") {
      throw new EdgemetaError("input", "FewShotClassifier needs another bundle", {
        got: "one for regression",
        expected: "one for classification",
      });
    }
    if (reject !== null && !(reject >= 0 && reject < Infinity)) {
      throw new EdgemetaError("input", "reject is out of range", {
        got: reject,
        expected: "null, or a number >= 0",
      });
    }
    this.runner = runner;
    this.options = { steps, lrScale, calibrate, reject, unknownLabel, keepSupport };
  }

  /**
   * (C,) labels: ascending if they have an order; later ones are at the end. Those of the bundle, in
   * its order, where it names them.
   */
  get classes(): readonly Label[] {
    return this.#get().labels;
  }

  /**
   * Whether the probabilities are calibrated. That needs two classes or more, and two samples or
   * more of each; where the bundle names the classes, of each that has samples.
   */
  get calibrated(): boolean {
    return this.#get().temperature !== null;
  }

  /** What the logits are divided by; 1 where they are not calibrated. */
  get temperature(): number {
    return this.#get().temperature ?? 1;
  }

  /**
   * Learn from these samples, and from nothing before.
   *
   * @param x S samples of the manifest's `input`, as the model was trained on them.
   * @param y (S,) labels: texts, or whole numbers.
   * @throws EdgemetaError of kind "input": something cannot be used, or there are more classes than
   *   the head has, or others than the bundle names; of kind "adaptation": what came of it is not
   *   finite.
   */
  async fit(x: Samples, y: Iterable<Label>): Promise<this> {
    const samples = this.#samples(x);
    const labels = checkedLabels(y, samples.dims[0]);
    return this.#learn(classesOf(labels, this.runner.manifest.labels), samples, labels);
  }

  /**
   * Learn from these samples too; labels that are new are new classes. This learns from the kept
   * samples and these together, as `fit` would.
   *
   * @param classes labels of further classes, of which there may be no samples yet.
   * @throws EdgemetaError as `fit`, and of kind "input": the samples of before were not kept.
   */
  async partialFit(x: Samples, y: Iterable<Label>, classes: Iterable<Label> = []): Promise<this> {
    const samples = this.#samples(x);
    const labels = checkedLabels(y, samples.dims[0]);
    const said = [...labels, ...checkedLabels(classes)];
    const named = classesOf(said, this.runner.manifest.labels);
    if (this.#fitted === null) return this.#learn(named, samples, labels);
    const before = this.#fitted;
    const kept = keptOf(before, "partialFit");
    return this.#learn(
      [...new Set([...before.labels, ...named])],
      stackedRows(kept.x, samples),
      [...kept.y.map((k) => before.labels[k] as Label), ...labels],
    );
  }

  /**
   * Unlearn a class: its samples are dropped, and the others learned anew. A class that the bundle
   * names stays as the bundle has it.
   *
   * @throws EdgemetaError of kind "input": there is no such class, or no other one with samples, or
   *   the samples were not kept.
   */
  async forget(label: Label): Promise<this> {
    const before = this.#get();
    const place = before.labels.indexOf(label);
    if (place < 0) {
      throw new EdgemetaError("input", "there is no such class", {
        got: JSON.stringify(label),
        hint: "classes has all",
      });
    }
    const kept = keptOf(before, "forget");
    const places = kept.y.map((_, k) => k).filter((k) => kept.y[k] !== place);
    if (places.length === 0) {
      throw new EdgemetaError("input", "no other class has samples", {
        got: JSON.stringify(label),
        hint: "fit again",
      });
    }
    const isNamed = this.runner.manifest.labels !== null;
    return this.#learn(
      before.labels.filter((_, k) => isNamed || k !== place),
      chosenRows(kept.x, places),
      places.map((k) => before.labels[kept.y[k] ?? 0] as Label),
    );
  }

  /**
   * Return the label of each sample, (Q,); `unknownLabel` for what is rejected.
   *
   * @param x Q samples of the manifest's `input`.
   * @throws EdgemetaError of kind "input": nothing was learned yet, or the samples cannot be used.
   */
  async predict(x: Samples): Promise<Label[]> {
    const { labels, lead } = this.#get();
    const found = await this.#compared(x);
    const { reject, unknownLabel } = this.options;
    const familiar = familiarity(found, lead);
    return found.logits.map((row, k) =>
      reject !== null && (familiar[k] ?? 0) < reject ? unknownLabel : (labels[argmax(row)] as Label),
    );
  }

  /**
   * Return the probability of each class, (C,) for each sample, given that it is one of them;
   * calibrated where `calibrated` says so. Arguments and errors are those of `predict`.
   */
  async predictProba(x: Samples): Promise<Float64Array[]> {
    const { temperature } = this;
    const { logits } = await this.#compared(x);
    return logits.map((row) => softmax(row.map((value) => value / temperature)));
  }

  /**
   * Return how familiar samples are, (Q,): 1 is as familiar as the samples learned from. Arguments
   * and errors are those of `predict`.
   */
  async familiarity(x: Samples): Promise<Float64Array> {
    const { lead } = this.#get();
    return familiarity(await this.#compared(x), lead);
  }

  /**
   * Return what was learned as the content of a file, which `load` and Python's
   * `FewShotClassifier.load` read; `Runner.loadState` reads it as a plain learner. The options are
   * not in it.
   *
   * @throws EdgemetaError of kind "input": nothing was learned yet, or a label cannot be saved.
   */
  async save(): Promise<Uint8Array> {
    return writeSaved(this.#get());
  }

  /**
   * Read what `save` returned, or Python's, in place of `fit`.
   *
   * @throws EdgemetaError of kind "bundle": damaged, of another bundle, or with labels that are
   *   neither texts nor numbers; of kind "input": keepSupport is set, and no samples are in it.
   */
  async load(content: Uint8Array): Promise<this> {
    const found = await readSaved(content, this.runner);
    const { keepSupport } = this.options;
    if (keepSupport && found.support === null) {
      throw new EdgemetaError("input", "the file has no samples", {
        expected: "them, as keepSupport is set",
        hint: "leave keepSupport out, or fit again",
      });
    }
    this.#fitted = keepSupport ? found : { ...found, support: null };
    return this;
  }

  /** Adapt the init to all there is to learn from. */
  async #learn(classes: readonly Label[], x: Tensor, labels: readonly Label[]): Promise<this> {
    const { manifest } = this.runner;
    const most = (mostWays(manifest) ?? 0) - Number(manifest.anyWays); // one is the spare
    if (classes.length > most) {
      throw new EdgemetaError("input", "y has more classes than the bundle can tell apart", {
        got: classes.length,
        expected: `at most ${most}`,
        hint: "a bundle of `edgemeta train --head shared` takes any number",
      });
    }
    const place = new Map(classes.map((label, k) => [label, k]));
    const y = labels.map((label) => place.get(label) ?? 0);
    const learner = await this.#adapted(x, y, classes.length);
    const samples = counts(y, classes.length);
    const lead = await ownLead(learner, x.data, y, classes.length);
    this.#fitted = {
      ...{ learner, labels: classes, samples },
      lead: manifest.labels === null ? lead : leadForAll(lead, samples),
      temperature: await this.#temperature(x, y, classes.length),
      support: this.options.keepSupport ? { x, y } : null,
    };
    return this;
  }

  async #adapted(x: Tensor, y: readonly number[], classes: number): Promise<Learner> {
    const { steps, lrScale } = this.options;
    const ways = this.runner.manifest.anyWays ? classes + 1 : undefined;
    const learner = await this.runner.adapt(x.data, y, { steps, lrScale, ways, guard: false });
    // The loss may rise: that of a few samples does so where the result is right in the end.
    if (learner.losses.length > 1) {
      checkFinite(learner.losses, (await learner.state()).values());
    }
    return learner;
  }

  /** Return the temperature by held-out samples; null where it should not or cannot be found. */
  async #temperature(x: Tensor, y: readonly number[], classes: number): Promise<number | null> {
    const isNamed = this.runner.manifest.labels !== null; // a class without samples is predicted
    const samples = counts(y, classes).filter((count) => !isNamed || count > 0);
    const few = samples.length < 2 || samples.some((count) => count < 2);
    if (!this.options.calibrate || few) return null;
    const logits: Float64Array[] = [];
    const labels: number[] = [];
    for (const heldOut of folds(y, classes)) {
      const [rest, out] = [placesOf(heldOut, false), placesOf(heldOut, true)];
      const of = (places: readonly number[]) => places.map((k) => y[k] ?? 0);
      const learner = await this.#adapted(chosenRows(x, rest), of(rest), classes);
      logits.push(...(await compared(learner, chosenRows(x, out).data, classes)).logits);
      await learner.release();
      labels.push(...of(out));
    }
    return findTemperature(logits, labels);
  }

  async #compared(x: Samples): Promise<Compared> {
    const { learner, labels } = this.#get();
    return compared(learner, x, labels.length);
  }

  /** Return a copy of samples: what is kept must not change with a caller's array. */
  #samples(x: Samples): Tensor {
    const tensor = checkSamples("x", x, this.runner.manifest.input);
    return { ...tensor, data: tensor.data.slice() };
  }

  #get(): Saved {
    if (this.#fitted !== null) return this.#fitted;
    throw new EdgemetaError("input", "this FewShotClassifier is not fitted yet", {
      hint: "call fit or load first",
    });
  }
}

function placesOf(flags: readonly boolean[], wanted: boolean): number[] {
  return flags.map((_, k) => k).filter((k) => flags[k] === wanted);
}

function keptOf({ support }: Saved, what: string): Support {
  if (support !== null) return support;
  throw new EdgemetaError("input", `${what} needs the samples of before, which were not kept`, {
    hint: "set keepSupport and fit again; Python's FewShotClassifier can do it without them",
  });
}
