/** What an adaptation must not do: leave the model worse than it was; as `edgemeta/device/guard.py`. */

import { RISE, SLACK } from "./contract.js";
import { EdgemetaError } from "./errors.js";
import { isFinite, type Tensor } from "./tensor.js";

const MADE_WORSE = "adaptation made the holdout worse";

/**
 * Check that an adaptation of at least one step has not diverged.
 *
 * @param losses (steps + 1,) before each step and after the last.
 * @param state every tensor afterwards.
 * @param targets of a regression; null for classification.
 * @throws EdgemetaError of kind "adaptation": the last loss is not finite, or above (1 + RISE) times
 *   the first and SLACK, or the state is not finite.
 */
export function checkProgress(
  losses: Float32Array,
  state: Iterable<Tensor>,
  targets: Tensor | null,
): void {
  checkFinite(losses, state);
  const [first, last] = [losses[0] ?? Number.NaN, losses.at(-1) ?? Number.NaN];
  const limit = first * (1 + RISE) + SLACK * (targets === null ? 1 : meanSquare(targets));
  if (last > limit) refuseDiverged(losses, "the support loss rose", `at most ${limit.toPrecision(4)}`);
}

/**
 * Check that an adaptation of at least one step came to numbers.
 *
 * @throws EdgemetaError of kind "adaptation": the last loss, or the state, is not finite.
 */
export function checkFinite(losses: Float32Array, state: Iterable<Tensor>): void {
  if (!Number.isFinite(losses.at(-1))) refuseDiverged(losses, "the support loss is not finite");
  for (const tensor of state) {
    if (!isFinite(tensor)) refuseDiverged(losses, "the state is not finite");
  }
}

/** How a learner does on samples: how many labels are right, or the loss of a regression. */
export type Score = { readonly right: number; readonly of: number } | { readonly loss: number };

/**
 * Check that an adapted learner is no worse on samples that it was not adapted to.
 *
 * @param before how the learner did that it started from.
 * @param after how it does itself.
 * @param losses of the adaptation.
 * @throws EdgemetaError of kind "adaptation": it is worse.
 */
export function checkHoldout(before: Score, after: Score, losses: Float32Array): void {
  if ("right" in before && "right" in after) {
    if (after.right >= before.right) return;
    refuse(losses, MADE_WORSE, `${after.right} of ${after.of} right`, `at least ${before.right}`);
  }
  if (!("loss" in before && "loss" in after)) throw new TypeError("scores of two kinds");
  if (after.loss <= before.loss) return;
  const [is, was] = [after.loss.toPrecision(4), before.loss.toPrecision(4)];
  refuse(losses, MADE_WORSE, `a loss of ${is}`, `at most ${was}`);
}

function meanSquare({ data }: Tensor): number {
  let sum = 0;
  for (const value of data) sum += Number(value) ** 2;
  return sum / data.length;
}

function refuseDiverged(losses: Float32Array, why: string, expected?: string): never {
  const [first, last] = [losses[0] ?? Number.NaN, losses.at(-1) ?? Number.NaN];
  const got = `${first.toPrecision(4)} -> ${last.toPrecision(4)} in ${losses.length - 1} steps`;
  refuse(losses, `adaptation diverged: ${why}`, got, expected);
}

function refuse(losses: Float32Array, what: string, got: string, expected?: string): never {
  throw new EdgemetaError("adaptation", what, {
    got,
    expected,
    hint: "nothing was changed; try a smaller lrScale or fewer steps, or check the labels",
    losses,
  });
}
