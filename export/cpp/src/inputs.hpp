// What comes in from outside, checked in one place: samples, labels, targets, numbers.

#pragma once

#include <cstdint>
#include <optional>

#include "edgemeta/runner.hpp"

namespace edgemeta {

/// The shape of `rows` samples.
Shape batch_of(std::int64_t rows, const Shape& sample);

/// Whether all numbers are finite.
bool is_finite(const View& array);

/// Checks x (n, *spec.shape); errors call it `name`. Throws Error (input): empty, of another shape
/// or dtype, or not finite.
void check_samples(const char* name, const View& x, const TensorSpec& spec);

/// Checks a whole support set, for a task of at most `ways` classes; errors call its arrays by the
/// names. Throws Error (input).
void check_support(const char* x_name, const View& x, const char* y_name, const View& y,
                   const Manifest& manifest, std::optional<std::int64_t> ways);

/// The number of inner steps. Throws Error (input): negative, or absurd.
std::int64_t check_steps(std::int64_t steps);

/// The scale of the inner learning rate. Throws Error (input): negative, or absurd.
float check_lr_scale(double lr_scale);

/// The number of classes of a task. Throws Error (input): fewer than `least`, more than the head
/// has, or the bundle is for regression.
std::int64_t check_ways(std::int64_t ways, const Manifest& manifest, std::int64_t least);

}  // namespace edgemeta
