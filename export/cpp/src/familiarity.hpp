// How familiar a sample is: as much as those that a class was learned from, or like none of them?
//
// A probability says which class a sample is of, given that it is of one. Far from all of them it
// may well be 1. So what counts here is how far the winning class is above the *spare* class, which
// was adapted to without samples and says what a class would get that a sample is not of; in
// proportion to how far above it is on its own support samples. A head of fixed width has no spare
// class: there it is the mean of all.

#pragma once

#include <cstdint>
#include <vector>

#include "matrix.hpp"

namespace edgemeta {

/// The scores of Q samples.
struct Scores {
  Matrix logits;                  // (Q, C) of the classes
  std::vector<double> reference;  // (Q,) what to compare them with: the spare class, or the mean
};

/// How familiar samples are, (Q,); 1 is as familiar as the support samples. `own` is (C,), what
/// `own_lead` returned.
std::vector<double> familiarity_of(const Scores& scores, const std::vector<float>& own);

/// How far each class's samples, whose scores these are, are above the reference, (C,); 0 without
/// samples. `y` are their (S,) labels.
std::vector<float> own_lead(const Scores& scores, const std::vector<std::int64_t>& y);

/// Leads (C,) in which classes without samples have the mean of the others: where a bundle names
/// its classes, these are predicted, too. `samples` are (C,), of one class there are some.
std::vector<float> lead_for_all(std::vector<float> lead, const std::vector<std::int64_t>& samples);

}  // namespace edgemeta
