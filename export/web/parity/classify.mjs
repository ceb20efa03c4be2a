/** The op "classify" of tests/parity: a classifier with names, wherever the package runs. */

/**
 * @typedef {import("../src/index.js").ClassifierOptions} Options
 * @typedef {import("../src/index.js").Label} Label
 * @typedef {import("../src/index.js").Tensors} Tensors
 * @typedef {Pick<import("../src/index.js").FewShotClassifier,
 *   "predict" | "predictProba" | "familiarity" | "calibrated" | "temperature" | "classes" | "save"
 * > & { fit(x: any, y: any): Promise<unknown>, load(content: Uint8Array): Promise<unknown> }} Classifier
 * @typedef {{
 *   names: (string | number)[],
 *   options: {
 *     steps: number | null, lr_scale: number, calibrate: boolean, reject: number | null,
 *     unknown: string | number, keep_support: boolean,
 *   },
 * }} Request
 */

/**
 * Fit a classifier to an episode, or read it from a file, and predict.
 *
 * @param {(options: Options) => Classifier} make
 * @param {Request} request
 * @param {Tensors} episode x, query, and y: indices into the names.
 * @param {Uint8Array | null} file of a classifier, to read instead of fitting.
 */
export async function classify(make, { names, options }, episode, file) {
  const of = (/** @type {string} */ name) => {
    const tensor = episode.get(name);
    if (tensor === undefined) throw new Error(`no ${name} in the episode`);
    return tensor.data;
  };
  const classifier = make({
    steps: options.steps ?? undefined,
    lrScale: options.lr_scale,
    calibrate: options.calibrate,
    reject: options.reject,
    unknownLabel: options.unknown,
    keepSupport: options.keep_support,
  });
  if (file !== null) await classifier.load(file);
  else {
    const y = Array.from(/** @type {BigInt64Array} */ (of("y")), Number);
    await classifier.fit(of("x"), y.map((k) => names[k]));
  }
  const query = of("query");
  const answer = {
    labels: await classifier.predict(query),
    probabilities: (await classifier.predictProba(query)).map((row) => [...row]),
    familiarity: [...(await classifier.familiarity(query))],
    temperature: classifier.calibrated ? classifier.temperature : null,
    classes: classifier.classes,
  };
  return { answer, classifier };
}
