// Probabilities that mean what they say: a temperature, from support samples held out in turn.
//
// Source: Guo et al., "On Calibration of Modern Neural Networks", 2017, who divide the logits by
// one number that makes held-out samples the most likely. A support set is small, and often all of
// it is predicted right, when the likelihood asks for the number 0; so its logarithm is drawn
// towards 0 as by a standard normal prior.

#pragma once

#include <cstdint>
#include <vector>

#include "matrix.hpp"

namespace edgemeta {

/// Divides a support set into parts that show all classes alike: of each of (S,) labels 0, 1, ...,
/// in which fold it is held out. Each fold has some, as of each class that is there, there are 2
/// samples or more.
std::vector<std::size_t> folds_of(const std::vector<std::int64_t>& y, std::size_t classes);

/// How often each class below `classes` is among labels.
std::vector<std::int64_t> counts_of(const std::vector<std::int64_t>& y, std::size_t classes);

/// The number to divide logits by, the most likely by held-out samples and the prior.
/// `logits` are (n, ways), `y` are (n,) labels below the ways.
double find_temperature(const Matrix& logits, const std::vector<std::int64_t>& y);

}  // namespace edgemeta
