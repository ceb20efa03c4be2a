import assert from "node:assert/strict";
import test from "node:test";
import { FewShotClassifier } from "../dist/lib/index.js";
import { recorded, refused, runner } from "./bundle.mjs";

const X = /** @type {Uint8Array} */ (recorded("support_x").data);
const Y = Array.from(recorded("support_y").data, Number);
const QUERY = /** @type {Uint8Array} */ (recorded("query_x").data);
const PIXELS = 28 * 28;
const NAMES = Array.from({ length: 20 }, (_, k) => `character ${(7 * k) % 20}`);
const LABELS = Y.map((k) => NAMES[k] ?? "");
const CLASSES = [...new Set(LABELS)].sort();

/** The samples at these places. @param {number[]} places */
const at = (places) => places.map((k) => X.slice(k * PIXELS, (k + 1) * PIXELS));

/** What a classifier says of the queries. @param {FewShotClassifier} classifier */
async function said(classifier) {
  return {
    classes: classifier.classes,
    labels: await classifier.predict(QUERY),
    probabilities: await classifier.predictProba(QUERY),
    familiarity: await classifier.familiarity(QUERY),
    temperature: classifier.temperature,
    calibrated: classifier.calibrated,
  };
}

test("it learns names, in order, and says how sure it is", async () => {
  const classifier = await new FewShotClassifier(runner).fit(X, LABELS);
  assert.deepEqual(classifier.classes, CLASSES);
  assert.deepEqual(await classifier.predict(X), LABELS);
  for (const row of await classifier.predictProba(QUERY)) {
    assert.equal(row.length, CLASSES.length);
    assert.ok(Math.abs(row.reduce((a, b) => a + b) - 1) < 1e-12);
  }
  const familiar = await classifier.familiarity(X);
  const mean = familiar.reduce((a, b) => a + b) / familiar.length;
  assert.ok(Math.abs(mean - 1) < 0.2, `${mean}`); // of its own samples, 1 in each class
});

test("what is like no class is unknown", async () => {
  // Half of the characters were learned, from one drawing each.
  const half = 10 * PIXELS;
  const classifier = new FewShotClassifier(runner, { reject: 0.9, unknownLabel: "?" });
  await classifier.fit(X.slice(0, half), LABELS.slice(0, 10));
  assert.deepEqual(await classifier.predict(X.slice(0, half)), LABELS.slice(0, 10));
  assert.deepEqual(new Set(await classifier.predict(X.slice(half))), new Set(["?"]));
  const strict = await new FewShotClassifier(runner, { reject: 1e9 }).fit(X, LABELS);
  assert.deepEqual(new Set(await strict.predict(X)), new Set(["unknown"]));
});

test("labels are ordered as in Python: by code point, by number, or as they come", async () => {
  /** @type {[(string | number)[], (string | number)[]][]} */
  const orders = [
    [["Ａ", "𝒳", "b"], ["b", "Ａ", "𝒳"]],
    [[10, 9, -1], [-1, 9, 10]],
    [["b", 2, "a"], ["b", 2, "a"]],
  ];
  for (const [labels, classes] of orders) {
    const classifier = new FewShotClassifier(runner, { calibrate: false });
    assert.deepEqual((await classifier.fit(at([0, 1, 2]), labels)).classes, classes);
  }
});

test("probabilities are calibrated where each class has two samples", async () => {
  const twice = [...Y, ...Y].map((k) => NAMES[k] ?? "");
  const both = new Uint8Array([...X, ...X]);
  const classifier = new FewShotClassifier(runner);
  assert.equal((await classifier.fit(both, twice)).calibrated, true);
  assert.notEqual(classifier.temperature, 1);
  await classifier.fit(at([0, 1, 2]), ["a", "b", "b"]);
  assert.deepEqual([classifier.calibrated, classifier.temperature], [false, 1]);
  const plain = await new FewShotClassifier(runner, { calibrate: false }).fit(both, twice);
  assert.equal(plain.calibrated, false);
});

test("with kept samples, more is learned and forgotten as if all had been there", async () => {
  const kept = new FewShotClassifier(runner, { keepSupport: true });
  const half = Y.length / 2;
  await kept.partialFit(X.slice(0, half * PIXELS), LABELS.slice(0, half));
  await kept.partialFit(X.slice(half * PIXELS), LABELS.slice(half));
  const known = kept.classes;
  // The order of classes may be another one: theirs is that in which they came.
  const whole = await new FewShotClassifier(runner, { keepSupport: true }).fit(X, LABELS);
  assert.deepEqual([...known].sort(), whole.classes);
  assert.deepEqual(await kept.predict(QUERY), await whole.predict(QUERY));
  const [gone = ""] = CLASSES;
  await whole.forget(gone);
  const others = LABELS.map((label, k) => ({ label, k })).filter(({ label }) => label !== gone);
  const anew = new FewShotClassifier(runner);
  await anew.fit(at(others.map(({ k }) => k)), others.map(({ label }) => label));
  assert.deepEqual(await said(whole), await said(anew));
});

test("what is kept is a copy", async () => {
  const [mine, same] = [X.slice(), new FewShotClassifier(runner, { keepSupport: true })];
  const fitting = same.fit(mine, LABELS);
  mine.fill(0);
  await fitting;
  const kept = await new FewShotClassifier(runner, { keepSupport: true }).fit(X, LABELS);
  assert.deepEqual(await same.save(), await kept.save());
});

test("classes may be named before there are samples of them", async () => {
  const kept = await new FewShotClassifier(runner, { keepSupport: true }).fit(X, LABELS);
  await kept.partialFit(at([0]), [LABELS[0] ?? ""], ["later"]);
  assert.deepEqual(kept.classes, [...CLASSES, "later"]);
  assert.equal(kept.calibrated, false);
  assert.ok((await kept.familiarity(QUERY)).every(Number.isFinite));
});

test("without kept samples, nothing is added or forgotten", async () => {
  const classifier = await new FewShotClassifier(runner).fit(X, LABELS);
  const text = /needs the samples of before, which were not kept; set keepSupport .* Python/;
  await refused(classifier.partialFit(X, LABELS), "input", text);
  await refused(classifier.forget(CLASSES[0] ?? ""), "input", text);
});

test("what is saved comes back, and is a plain learner's state, too", async () => {
  for (const keepSupport of [true, false]) {
    const classifier = await new FewShotClassifier(runner, { keepSupport }).fit(X, LABELS);
    const content = await classifier.save();
    const loaded = await new FewShotClassifier(runner, { keepSupport }).load(content);
    assert.deepEqual(await said(loaded), await said(classifier));
    assert.deepEqual(await loaded.save(), content);
    const learner = await runner.loadState(content);
    assert.deepEqual(learner.labels, CLASSES);
    const found = (await learner.predict(QUERY)).map((k) => CLASSES[k]);
    assert.deepEqual(found, await classifier.predict(QUERY));
  }
  const without = await (await new FewShotClassifier(runner).fit(X, LABELS)).save();
  const loading = new FewShotClassifier(runner, { keepSupport: true }).load(without);
  await refused(loading, "input", /the file has no samples: expected them, as keepSupport is set/);
});

test("what cannot be used is refused", async () => {
  const classifier = new FewShotClassifier(runner);
  const none = /this FewShotClassifier is not fitted yet; call fit or load first$/;
  for (const doing of [classifier.predict(X), classifier.save(), classifier.forget("a")]) {
    await refused(doing, "input", none);
  }
  assert.throws(() => classifier.classes, none);
  /** @type {[any, any, RegExp][]} */
  const wrong = [
    [X, LABELS.slice(1), /^y does not fit x: got \d+ labels, expected \d+, one for each sample/],
    [X, LABELS.map((_, k) => k + 0.5), /^y has what no class can be called: got 0.5, a number/],
    [X, LABELS.map(() => null), /got null, a object, expected texts, or whole numbers/],
    [X, [undefined, ...LABELS.slice(1)], /got undefined/],
    [X, LABELS.map(() => "\ud800"), /no class can be called/],
    [X, LABELS.map(() => 2 ** 53), /got 9007199254740992/],
    [X.slice(1), LABELS, /^x has the wrong size/],
  ];
  for (const [x, y, text] of wrong) await refused(classifier.fit(x, y), "input", text);
  await classifier.fit(X, LABELS);
  const before = await said(classifier);
  await refused(classifier.fit(X.slice(1), LABELS), "input", /^x has the wrong size/);
  assert.deepEqual(await said(classifier), before); // what was learned stays
  await refused(classifier.forget("nobody"), "input", /^there is no such class: got "nobody"; classes has all/);
  for (const reject of [-1, Number.NaN, Infinity]) {
    assert.throws(() => new FewShotClassifier(runner, { reject }), /^EdgemetaError: reject is out of range/);
  }
  const alone = await new FewShotClassifier(runner, { keepSupport: true }).fit(at([0]), ["a"]);
  await refused(alone.forget("a"), "input", /^no other class has samples: got "a"; fit again/);
  await refused(new FewShotClassifier(runner, { lrScale: -1 }).fit(X, LABELS), "input", /lrScale is out of/);
});
