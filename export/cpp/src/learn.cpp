#include "learn.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "calibration.hpp"
#include "distinct.hpp"
#include "guard.hpp"
#include "model.hpp"

namespace edgemeta {
namespace {

constexpr auto kInput = Error::Kind::input;

/// Adapts to samples of some classes, and of a shared head to the spare class too.
Learner adapted(const Runner& runner, const ClassifierOptions& options, const View& x,
                const std::vector<std::int64_t>& y, std::size_t classes) {
  AdaptOptions choices;
  choices.steps = options.steps;
  choices.lr_scale = options.lr_scale;
  if (runner.manifest().any_ways()) choices.ways = static_cast<std::int64_t>(classes) + 1;
  // The loss may rise: that of a few samples, most of one class, does so where the average of all
  // is right in the end.
  choices.guard = false;
  const Learner learner = runner.adapt(x, View(y, {static_cast<std::int64_t>(y.size())}), choices);
  if (learner.losses().size() > 1) {
    const Access::Held held = Access::state_of(learner);
    std::vector<View> state;
    for (const auto& [name, view] : held.views.tensors) state.push_back(view);
    check_finite(learner.losses(), state);
  }
  return learner;
}

/// The place of each label among the known ones. Throws Error (input): the head has no room.
std::vector<std::int64_t> numbered(const Runner& runner, const std::vector<Label>& known,
                                   const std::vector<Label>& labels) {
  const Manifest& manifest = runner.manifest();
  const std::int64_t most = manifest.most_ways().value_or(0) - (manifest.any_ways() ? 1 : 0);
  if (static_cast<std::int64_t>(known.size()) > most) {  // one is the spare class
    throw Error(kInput, "y has more classes than the bundle can tell apart",
                std::to_string(known.size()), "at most " + std::to_string(most),
                "a bundle of `edgemeta train --head shared` takes any number");
  }
  std::map<Label, std::int64_t, LabelLess> places;
  for (const Label& label : known) {
    places.emplace(label, static_cast<std::int64_t>(places.size()));
  }
  std::vector<std::int64_t> y;
  for (const Label& label : labels) y.push_back(places.at(label));
  return y;
}

/// The temperature by held-out samples; nothing where it should or can not be found.
std::optional<double> temperature_of(const Runner& runner, const ClassifierOptions& options,
                                     const View& x, const std::vector<std::int64_t>& y,
                                     std::size_t classes) {
  auto counts = counts_of(y, classes);
  if (!runner.manifest().labels.empty()) {  // a class without samples is predicted as well
    counts.erase(std::remove(counts.begin(), counts.end(), 0), counts.end());
  }
  if (!options.calibrate || counts.size() < 2 ||
      *std::min_element(counts.begin(), counts.end()) < 2) {
    return std::nullopt;
  }
  const auto folds = folds_of(y, classes);
  const std::size_t count = *std::max_element(folds.begin(), folds.end()) + 1;
  Matrix logits = {0, classes, {}};
  std::vector<std::int64_t> labels;
  for (std::size_t fold = 0; fold < count; ++fold) {
    std::vector<std::size_t> in, out;
    for (std::size_t i = 0; i < y.size(); ++i) (folds[i] == fold ? out : in).push_back(i);
    const Learner learner = adapted(runner, options, rows_of(x, in), picked(y, in), classes);
    const Matrix found = scores_of(runner, learner, rows_of(x, out), classes).logits;
    logits.values.insert(logits.values.end(), found.values.begin(), found.values.end());
    logits.rows += found.rows;
    for (const std::size_t i : out) labels.push_back(y[i]);
  }
  return find_temperature(logits, labels);
}

}  // namespace

Scores scores_of(const Runner& runner, const Learner& learner, const View& x, std::size_t classes) {
  const Tensor logits = learner.predict_logits(x);
  const auto rows = static_cast<std::size_t>(logits.shape()[0]);
  const auto width = static_cast<std::size_t>(logits.shape()[1]);
  const bool spare = runner.manifest().any_ways();
  Scores scores = {{rows, classes, {}}, {}};
  for (std::size_t i = 0; i < rows; ++i) {
    const float* const row = logits.data<float>() + i * width;
    scores.logits.values.insert(scores.logits.values.end(), row, row + classes);
    double sum = 0;
    for (std::size_t k = 0; k < width; ++k) sum += static_cast<double>(row[k]);
    scores.reference.push_back(spare ? static_cast<double>(row[classes])
                                     : sum / static_cast<double>(width));
  }
  return scores;
}

std::shared_ptr<const LearnedClasses> learn(const Runner& runner, const ClassifierOptions& options,
                                            std::vector<Label> known, const View& x,
                                            const std::vector<Label>& labels) {
  auto y = numbered(runner, known, labels);
  const std::size_t classes = known.size();
  const Learner learner = adapted(runner, options, x, y, classes);
  auto lead = own_lead(scores_of(runner, learner, x, classes), y);
  const auto temperature = temperature_of(runner, options, x, y, classes);
  auto samples = counts_of(y, classes);
  if (!runner.manifest().labels.empty()) lead = lead_for_all(std::move(lead), samples);
  std::optional<Support> support;
  if (options.keep_support) support = Support{Tensor(x), std::move(y)};
  return std::make_shared<const LearnedClasses>(LearnedClasses{learner, std::move(known),
                                                               std::move(lead), std::move(samples),
                                                               temperature, std::move(support)});
}

}  // namespace edgemeta
