#include "edgemeta/classifier.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <utility>

#include "distinct.hpp"
#include "familiarity.hpp"
#include "inputs.hpp"
#include "learn.hpp"
#include "learned.hpp"
#include "probabilities.hpp"
#include "rows.hpp"

namespace edgemeta {
namespace {

constexpr auto kInput = Error::Kind::input;
constexpr std::size_t kMostShown = 20;  // classes that an error names

std::vector<Label> labels_at(const std::vector<Label>& labels, const std::vector<std::int64_t>& y) {
  std::vector<Label> found;
  for (const std::int64_t k : y) found.push_back(labels[static_cast<std::size_t>(k)]);
  return found;
}

/// The classes that labels are of: all those that the bundle names, or else each label once.
std::vector<Label> classes_of(const Manifest& manifest, const std::vector<Label>& labels) {
  const std::vector<Label>&named = manifest.labels, once = distinct(labels);
  if (named.empty()) return once;
  for (const Label& label : once) {
    if (place_of(label, named) < named.size()) continue;
    std::string expected = "one of ";
    for (std::size_t k = 0; k < std::min(named.size(), kMostShown); ++k) {
      expected += (k == 0 ? "" : ", ") + name_of(named[k]);
    }
    if (named.size() > kMostShown) expected += ", ...";
    throw Error(kInput, "the bundle has no such class", name_of(label), expected);
  }
  return named;
}

void check_names(const std::vector<Label>& y, std::int64_t samples) {
  for (const Label& label : y) {
    const double* const number = std::get_if<double>(&label);
    if (number == nullptr || (std::isfinite(*number) && std::trunc(*number) == *number)) continue;
    throw Error(kInput, "y is continuous", name_of(label), "labels",
                "for targets there is Runner::adapt");
  }
  if (y.size() != static_cast<std::size_t>(samples)) {
    throw Error(kInput, "y does not fit x", std::to_string(y.size()) + " labels",
                std::to_string(samples) + ", one per sample");
  }
}

}  // namespace

std::string name_of(const Label& label) {
  if (const auto* text = std::get_if<std::string>(&label)) return *text;
  if (const auto* number = std::get_if<std::int64_t>(&label)) return std::to_string(*number);
  std::ostringstream written;
  written << std::get<double>(label);
  return written.str();
}

Classifier::Classifier(Runner runner, ClassifierOptions options)
    : runner_(std::move(runner)), options_(std::move(options)) {
  if (!runner_.manifest().classification) {
    throw Error(kInput, "Classifier needs another bundle", "one for regression",
                "one for classification");
  }
  if (options_.reject && !(*options_.reject >= 0 && std::isfinite(*options_.reject))) {
    std::ostringstream got;
    got << *options_.reject;
    throw Error(kInput, "reject is out of range", got.str(), "none, or a number >= 0");
  }
}

void Classifier::fit(const View& x, const std::vector<Label>& y) {
  check_samples("x", x, runner_.manifest().input);
  check_names(y, x.shape()[0]);
  learned_ = learn(runner_, options_, classes_of(runner_.manifest(), y), x, y);
}

void Classifier::partial_fit(const View& x, const std::vector<Label>& y) {
  if (learned_ == nullptr) return fit(x, y);
  check_samples("x", x, runner_.manifest().input);
  check_names(y, x.shape()[0]);
  const Support& before = kept();
  std::vector<Label> known = learned_->labels, labels = labels_at(known, before.y);
  for (const Label& label : classes_of(runner_.manifest(), y)) {
    if (place_of(label, learned_->labels) == learned_->labels.size()) known.push_back(label);
  }
  labels.insert(labels.end(), y.begin(), y.end());
  learned_ = learn(runner_, options_, std::move(known), joined(before.x, x), labels);
}

void Classifier::forget(const Label& label) {
  std::vector<Label> others = learned().labels;
  const std::size_t place = place_of(label, others);
  if (place == others.size()) {
    throw Error(kInput, "there is no such class", name_of(label), "", "classes() has all");
  }
  if (runner_.manifest().labels.empty()) {  // a class that the bundle names stays
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(place));
  }
  const Support& before = kept();
  std::vector<std::size_t> stay;
  for (std::size_t i = 0; i < before.y.size(); ++i) {
    if (before.y[i] != static_cast<std::int64_t>(place)) stay.push_back(i);
  }
  if (stay.empty()) {
    throw Error(kInput, "no other class has samples", name_of(label), "", "fit again");
  }
  learned_ = learn(runner_, options_, std::move(others), rows_of(before.x, stay),
                   labels_at(learned_->labels, picked(before.y, stay)));
}

std::vector<Label> Classifier::predict(const View& x) const {
  const LearnedClasses& known = learned();
  const Scores scores = scores_of(runner_, known.learner, x, known.labels.size());
  const auto familiar = familiarity_of(scores, known.lead);
  std::vector<Label> found;
  for (std::size_t i = 0; i < scores.logits.rows; ++i) {
    const bool unknown = options_.reject && familiar[i] < *options_.reject;
    found.push_back(unknown ? options_.unknown_label : known.labels[scores.logits.winner(i)]);
  }
  return found;
}

Tensor Classifier::predict_proba(const View& x) const {
  const LearnedClasses& known = learned();
  const double divisor = temperature();
  Matrix logits = scores_of(runner_, known.learner, x, known.labels.size()).logits;
  for (std::size_t i = 0; i < logits.rows; ++i) {
    double* const first = logits.values.data() + i * logits.columns;
    to_probabilities(first, first + logits.columns, divisor);
  }
  return Tensor(View(logits.values, {static_cast<std::int64_t>(logits.rows),
                                     static_cast<std::int64_t>(logits.columns)}));
}

std::vector<double> Classifier::familiarity(const View& x) const {
  const LearnedClasses& known = learned();
  return familiarity_of(scores_of(runner_, known.learner, x, known.labels.size()), known.lead);
}

const std::vector<Label>& Classifier::classes() const {
  return learned().labels;
}

bool Classifier::calibrated() const {
  return learned().temperature.has_value();
}

double Classifier::temperature() const {
  return learned().temperature.value_or(1);
}

void Classifier::save(const std::filesystem::path& path) const {
  write_classes(path, runner_, learned());
}

std::vector<std::byte> Classifier::serialize() const {
  return format_classes(runner_, learned());
}

void Classifier::load(const std::filesystem::path& path) {
  take(path.string(), read_classes(path, runner_));
}

void Classifier::load(Bytes content) {
  constexpr const char* kWhere = "the classifier's content";
  take(kWhere, parse_classes(kWhere, content.text(), runner_));
}

void Classifier::take(const std::string& where, LearnedClasses found) {
  if (options_.keep_support && !found.support) {
    throw Error(kInput, where + " has no support set", "", "one, as keep_support is set",
                "leave keep_support at false, or fit again");
  }
  if (!options_.keep_support) found.support.reset();
  learned_ = std::make_shared<const LearnedClasses>(std::move(found));
}

const LearnedClasses& Classifier::learned() const {
  if (learned_ == nullptr) {
    throw Error(kInput, "this Classifier is not fitted yet", "", "", "call fit or load first");
  }
  return *learned_;
}

const Support& Classifier::kept() const {
  if (!learned().support) {
    throw Error(kInput, "the support set was not kept", "", "",
                "set keep_support and fit again; Python's FewShotClassifier can do without");
  }
  return *learned().support;
}

}  // namespace edgemeta
