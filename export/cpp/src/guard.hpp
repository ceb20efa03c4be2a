// What an adaptation must not do: leave the model worse than it was.

#pragma once

#include <cstdint>
#include <vector>

#include "edgemeta/tensor.hpp"

namespace edgemeta {

/// Checks that an adaptation of at least one step came to numbers; arguments as `check_progress`.
/// Throws Error (adaptation): the last loss, or the state, is not finite.
void check_finite(const std::vector<float>& losses, const std::vector<View>& state);

/// Checks that an adaptation of at least one step has not diverged. `losses` (steps + 1), `state`
/// is what it came to, `targets` (S, *target shape) float32; null for labels.
/// Throws Error (adaptation): the last loss is not finite, or the state, or the last loss is above
/// 1.5 times the first and 0.01, or 0.01 times the targets' mean square.
void check_progress(const std::vector<float>& losses, const std::vector<View>& state,
                    const View* targets);

/// Checks that no fewer labels y (H,) int64 of held out samples are predicted than before; `was`
/// and `is` (H,) int64 are the predictions. `losses` are for the error. Throws Error (adaptation).
void check_right(const View& was, const View& is, const View& y, const std::vector<float>& losses);

/// Checks that the loss on held out samples is no larger than it was. Throws Error (adaptation).
void check_loss(double was, double is, const std::vector<float>& losses);

}  // namespace edgemeta
