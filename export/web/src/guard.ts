/** What an adaptation must not do: leave the model worse than it was; as `edgemeta/device/guard.py`. */

import { RISE, SLACK } from "./contract.js";
import { EdgemetaError } from "./errors.js";
import { isFinite, type Tensor } from "./tensor.js";

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
  const [first, last] = [losses[0] ?? Number.NaN, losses.at(-1) ?? Number.NaN];
  if (!Number.isFinite(last)) refuse(losses, "the support loss is not finite");
  for (const tensor of state) if (!isFinite(tensor)) refuse(losses, "the state is not finite");
  const limit = first * (1 + RISE) + SLACK * (targets === null ? 1 : meanSquare(targets));
  if (last > limit) refuse(losses, "the support loss rose", `at most ${limit.toPrecision(4)}`);
}

function meanSquare({ data }: Tensor): number {
  let sum = 0;
  for (const value of data) sum += Number(value) ** 2;
  return sum / data.length;
}

function refuse(losses: Float32Array, why: string, expected?: string): never {
  const [first, last] = [losses[0] ?? Number.NaN, losses.at(-1) ?? Number.NaN];
  throw new EdgemetaError("adaptation", `adaptation diverged: ${why}`, {
    got: `${first.toPrecision(4)} -> ${last.toPrecision(4)} in ${losses.length - 1} steps`,
    expected,
    hint: "nothing was changed; try a smaller lrScale or fewer steps, or check the labels",
    losses,
  });
}
