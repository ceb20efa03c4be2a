/** Class labels of a classifier: checked, and put in order, as `edgemeta/estimators/_labels.py`. */

import { EdgemetaError } from "./errors.js";
import { compareText } from "./safetensors.js";
import { isLabel, type Label } from "./state.js";

const MOST_SHOWN = 20; // classes that an error names

/**
 * Return the labels of samples as a list.
 *
 * @param y texts, or whole numbers.
 * @param samples how many there have to be; undefined for any number.
 * @throws EdgemetaError of kind "input": not one for each sample, or one that no class can be called.
 */
export function checkedLabels(y: Iterable<Label>, samples?: number): Label[] {
  const labels = Array.from(y);
  const odd = labels.findIndex((label) => {
    return typeof label === "number" ? !Number.isSafeInteger(label) : !isLabel(label);
  });
  if (odd >= 0) {
    throw new EdgemetaError("input", "y has what no class can be called", {
      got: `${String(labels[odd])}, a ${typeof labels[odd]}`,
      expected: "texts, or whole numbers",
    });
  }
  if (samples !== undefined && labels.length !== samples) {
    throw new EdgemetaError("input", "y does not fit x", {
      got: `${labels.length} labels`,
      expected: `${samples}, one for each sample`,
    });
  }
  return labels;
}

/** Return each label once: in ascending order, or as they come where texts and numbers are mixed. */
export function distinct(labels: Iterable<Label>): Label[] {
  const once = [...new Set(labels)];
  if (areTexts(once)) return once.sort(compareText);
  return areNumbers(once) ? once.sort((a, b) => a - b) : once;
}

/**
 * Return the classes that labels are of: all that the bundle names, or else each label once, as
 * `distinct` does.
 *
 * @param names what the bundle calls its classes; null where it names none.
 * @throws EdgemetaError of kind "input": a label is none of the bundle's.
 */
export function classesOf(labels: Iterable<Label>, names: readonly string[] | null): readonly Label[] {
  if (names === null) return distinct(labels);
  const known = new Set<Label>(names);
  for (const label of labels) {
    if (known.has(label)) continue;
    const shown = names.slice(0, MOST_SHOWN).join(", ") + (names.length > MOST_SHOWN ? ", ..." : "");
    throw new EdgemetaError("input", "the bundle has no such class", {
      got: JSON.stringify(label),
      expected: `one of ${shown}`,
    });
  }
  return names;
}

function areTexts(labels: Label[]): labels is string[] {
  return labels.every((label) => typeof label === "string");
}

function areNumbers(labels: Label[]): labels is number[] {
  return labels.every((label) => typeof label === "number");
}
