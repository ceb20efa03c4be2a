/** The tab that learns drawings. */

import type { Runner } from "../src/index.js";
import { colour, find } from "./dom.js";
import { Pad } from "./pad.js";
import { example, EXAMPLE_NAMES, rasterise, SIDE } from "./symbols.js";
import { type Sample, Workbench } from "./workbench.js";

// The bundle was trained to take one step, after which it is sure of everything. Ten small ones come
// to the same labels, to probabilities that tell more, and to a curve worth a look.
const [STEPS, LR_SCALE] = [10, 0.02];

/** Set up the tab in its panel. */
export function setUpDraw(root: HTMLElement, runner: Runner): void {
  const canvas = find<HTMLCanvasElement>(".pad", root);
  const pad = new Pad(canvas, (finished) => {
    bench.setCurrent(pad.strokes.length > 0 ? drawing(rasterise(pad.strokes, 1)) : null, finished);
    for (const name of [".undo", ".clear"]) {
      find<HTMLButtonElement>(name, root).disabled = pad.strokes.length === 0;
    }
  });
  const bench = new Workbench(root, runner, {
    noun: "drawing",
    prompt: "Draw a symbol",
    names: EXAMPLE_NAMES,
    adapt: { steps: STEPS, lrScale: LR_SCALE },
    file: "symbols.safetensors",
    example: (index) => pad.show(example(index, 1, Math.random)),
    clear: () => pad.clear(),
  });
  find(".undo", root).addEventListener("click", () => pad.undo());
  find(".clear", root).addEventListener("click", () => pad.clear());
  pad.clear();
}

/** Return a picture of (28, 28), ink = 255, as a sample. */
function drawing(x: Uint8Array): Sample {
  return {
    x,
    paint(canvas) {
      canvas.width = canvas.height = SIDE;
      const context = canvas.getContext("2d");
      const picture = context?.createImageData(SIDE, SIDE);
      if (picture === undefined) return;
      const [, red, green, blue] = /#(..)(..)(..)/.exec(colour("ink")) ?? [];
      const ink = [red, green, blue].map((part) => Number.parseInt(part ?? "0", 16));
      x.forEach((value, k) => picture.data.set([...ink, value], 4 * k));
      context?.putImageData(picture, 0, 0);
    },
  };
}
