// A classifier for classes with names, which can say of a sample that it is like none of them.
//
//     edgemeta::ClassifierOptions options;
//     options.reject = 0.3;
//     edgemeta::Classifier classifier(edgemeta::Runner("bundle"), options);
//     classifier.fit({drawings, {4, 28, 28}}, {"cup", "key", "cup", "key"});
//     classifier.predict({queries, {2, 28, 28}});  // {"key", "unknown"}
//
// It computes what Python's `edgemeta.FewShotClassifier` does, and reads and writes its files. What
// only Python can do: learn more or forget a class without the support set.

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edgemeta/runner.hpp"

namespace [[gnu::visibility("default")]] edgemeta {

struct LearnedClasses;
struct Support;

/// What a label is written as: a text as it is, a number in digits.
std::string name_of(const Label& label);

/// Choices of a classifier.
struct ClassifierOptions {
  /// Inner steps; the bundle's own number unless given.
  std::optional<std::int64_t> steps = {};
  /// Multiplies the inner learning rate.
  double lr_scale = 1;
  /// Whether to find a temperature for the probabilities; this takes up to 5 more adaptations.
  bool calibrate = true;
  /// Samples less familiar than this are unknown, see `Classifier::familiarity`; unless given,
  /// none is. 1 is as familiar as the samples learned from.
  std::optional<double> reject = {};
  /// What `predict` calls an unknown sample.
  Label unknown_label = std::string("unknown");
  /// Whether to keep the samples, here and in the file that `save` writes: `partial_fit` and
  /// `forget` need them.
  bool keep_support = false;
};

/// Learns classes from a few labelled samples each.
///
/// A bundle that names its classes (`Manifest::labels`) knows them already: labels are then these
/// names, all of its classes are there from the start, and those without samples are predicted as
/// the bundle does.
///
/// Copies are cheap, and independent. Several threads may call what is const at once.
class Classifier {
 public:
  /// Throws Error (input): the bundle is for regression, or an option is out of range.
  explicit Classifier(Runner runner, ClassifierOptions options = {});

  /// Learns from these samples, and from nothing before: x (S, *input.shape) and their S labels.
  /// Throws Error (input): something cannot be used, or there are more classes than the head has,
  /// or others than the bundle names;
  /// Error (adaptation): it came to no numbers. The classifier is then as it was.
  void fit(const View& x, const std::vector<Label>& y);

  /// Learns from these samples too, and from the kept support set, as `fit` would from all of them.
  /// New labels are new classes, at the end. Throws as `fit`, and Error (input) where samples from
  /// before were not kept.
  void partial_fit(const View& x, const std::vector<Label>& y);

  /// Drops the samples of a class and learns the others anew; a class that the bundle names stays
  /// as the bundle has it. Throws as `fit`, and Error (input)
  /// where there is no such class, no other one, or no kept support set.
  void forget(const Label& label);

  /// The label of each sample of x (Q, *input.shape); `unknown_label` for what is rejected.
  /// Throws Error (input): nothing was learned yet, or the samples cannot be used.
  std::vector<Label> predict(const View& x) const;

  /// (Q, C) float64 probabilities of the classes, given that a sample is of one of them. They are
  /// calibrated where `calibrated` says so. Throws as `predict`.
  Tensor predict_proba(const View& x) const;

  /// How familiar samples are, (Q,): 1 is as familiar as those learned from, 0 like none of them.
  /// Throws as `predict`.
  std::vector<double> familiarity(const View& x) const;

  /// The labels of the classes: ascending where all are texts or all numbers; later ones are at
  /// the end. Those of the bundle, in its order, where it names them. Throws Error (input): nothing
  /// was learned yet; so do the next two.
  const std::vector<Label>& classes() const;

  /// Whether the probabilities are calibrated: that needs two classes or more, and two samples or
  /// more of each; where the bundle names the classes, of each that has samples.
  bool calibrated() const;

  /// What the logits are divided by; 1 where the probabilities are not calibrated.
  double temperature() const;

  /// The bundle.
  const Runner& runner() const { return runner_; }

  /// Writes what was learned to a `.safetensors` file, whole or not at all. Python's
  /// `FewShotClassifier.load` reads it, and so does `Runner::load` as a plain learner; the options
  /// are not in it. Throws Error (input): nothing was learned yet, or a label cannot be saved;
  /// Error (failure): the file cannot be written.
  void save(const std::filesystem::path& path) const;

  /// The content of the file that `save` writes. Throws as `save`.
  std::vector<std::byte> serialize() const;

  /// Reads what `save` wrote, here or in Python, in place of `fit`. Throws Error (bundle): the file
  /// is missing, damaged, of another bundle or of a plain learner, or its labels are others than
  /// texts and numbers; Error (input): `keep_support` is set, and the file has no support set.
  void load(const std::filesystem::path& path);

  /// Reads what `serialize` returned. Throws as the other.
  void load(Bytes content);

 private:
  const LearnedClasses& learned() const;
  const Support& kept() const;
  void take(const std::string& where, LearnedClasses found);

  Runner runner_;
  ClassifierOptions options_;
  std::shared_ptr<const LearnedClasses> learned_;  // never changes: another one takes its place
};

}  // namespace edgemeta
