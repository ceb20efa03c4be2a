// Learning classes with names: the adaptation, the temperature, and what is familiar.

#pragma once

#include <memory>
#include <vector>

#include "edgemeta/classifier.hpp"
#include "familiarity.hpp"
#include "learned.hpp"
#include "rows.hpp"

namespace edgemeta {

/// The values at some indices.
template <class T>
std::vector<T> picked(const std::vector<T>& values, const std::vector<std::size_t>& indices) {
  std::vector<T> found;
  for (const std::size_t index : indices) found.push_back(values[index]);
  return found;
}

/// Scores of the classes, and what to compare them with: the spare class's logit, or where there
/// is none the mean over a head of fixed width. Throws as `Learner::predict`.
Scores scores_of(const Runner& runner, const Learner& learner, const View& x, std::size_t classes);

/// Adapts the init to all there is to learn from: checked samples and their labels, each of which
/// is among the `known`. Throws as `Classifier::fit`.
std::shared_ptr<const LearnedClasses> learn(const Runner& runner, const ClassifierOptions& options,
                                            std::vector<Label> known, const View& x,
                                            const std::vector<Label>& labels);

}  // namespace edgemeta
