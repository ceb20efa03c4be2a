/** Replaying a bundle's recorded episode: does this runtime compute what PyTorch did? */

import { EdgemetaError } from "./errors.js";
import { predictionName, SELFTEST } from "./manifest.js";
import { compare, type Difference } from "./recorded.js";
import type { Runner } from "./runner.js";
import { readTensors, type Tensors } from "./safetensors.js";
import type { Tensor } from "./tensor.js";

/**
 * Replay the selftest of a bundle.
 *
 * @returns the difference of every tensor of the state, of the losses and of the prediction.
 * @throws EdgemetaError of kind "runtime": a difference exceeds its limit, or is not a number; of
 *   kind "bundle": the selftest is damaged.
 */
export async function verify(runner: Runner): Promise<Difference[]> {
  const want = recordedEpisode(await runner.selftest());
  const { computed } = await replay(runner, want);
  const { parity } = runner.manifest;
  const found = [...computed].map(([name, tensor]) => compare(name, tensor, want, parity));
  for (const { tensor, largest, limit } of found) {
    if (!(largest <= limit)) {
      const what = `this runtime does not compute what PyTorch did: ${tensor} differs`;
      throw new EdgemetaError("runtime", what, {
        got: largest.toPrecision(3),
        expected: `at most ${limit.toPrecision(3)}`,
      });
    }
  }
  return found;
}

function recordedEpisode(content: Uint8Array): Tensors {
  try {
    return readTensors(content).tensors;
  } catch (error) {
    throw new EdgemetaError("bundle", `${SELFTEST} cannot be read`, { got: error });
  }
}

/** What a replay computed, by the names of `selftest.safetensors`, and how long it took. */
export interface Replay {
  /** Every "<name>.next", "losses", and the prediction. */
  readonly computed: Tensors;
  /** Milliseconds. */
  readonly ms: { readonly adapt: number; readonly predict: number };
}

/**
 * Adapt and predict as a recorded episode did.
 *
 * @param episode laid out as `selftest.safetensors`: support_x, support_y, steps, lr_scale, and
 *   query_x unless these are the support samples.
 */
export async function replay(runner: Runner, episode: Tensors): Promise<Replay> {
  const of = (name: string): Tensor => {
    const tensor = episode.get(name);
    if (tensor !== undefined) return tensor;
    throw new EdgemetaError("bundle", "the episode cannot be replayed", { expected: name });
  };
  const began = now();
  const learner = await runner.adapt(of("support_x").data, of("support_y").data, {
    steps: Number(of("steps").data[0]),
    lrScale: Number(of("lr_scale").data[0]),
    guard: false,
  });
  const adapted = now();
  const rows = await learner.predictLogits(of(episode.has("query_x") ? "query_x" : "support_x").data);
  const ms = { adapt: adapted - began, predict: now() - adapted };
  const found: Tensors = new Map();
  for (const [name, tensor] of await learner.state()) found.set(`${name}.next`, tensor);
  found.set("losses", { data: learner.losses, dims: [learner.losses.length], dtype: "float32" });
  const name = predictionName(runner.manifest);
  const width = rows[0]?.length ?? 0;
  const output = learner.ways === null ? runner.manifest.target.shape : [width];
  const data = new Float32Array(rows.length * width);
  rows.forEach((row, k) => data.set(row, k * width));
  found.set(name, { data, dims: [rows.length, ...output], dtype: "float32" });
  await learner.release();
  return { computed: found, ms };
}

/** Return milliseconds since some time. */
function now(): number {
  return (globalThis.performance ?? Date).now();
}
