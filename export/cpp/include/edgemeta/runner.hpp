// Adapting and predicting on a device, with stock ONNX Runtime.
//
//     edgemeta::Runner runner("bundle");
//     edgemeta::Learner learner = runner.adapt({pixels, {5, 28, 28}}, {labels, {5}});
//     edgemeta::Tensor predicted = learner.predict({queries, {2, 28, 28}});
//
// A runner never changes; a learner is a value: adapting further returns another one. Both are
// cheap to copy, and may be used by several threads at once. After a fork, load the bundle anew.
//
// The names are those of the Python package, and so is what they do, but for this: data must have
// the bundle's dtype exactly, where Python converts.

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "edgemeta/bytes.hpp"
#include "edgemeta/error.hpp"
#include "edgemeta/tensor.hpp"

namespace [[gnu::visibility("default")]] edgemeta {

/// What a class may be called; in a manifest it is a text.
using Label = std::variant<std::string, std::int64_t, double>;

/// Shape and dtype of one sample or one target, as the user's data has it.
struct TensorSpec {
  Shape shape;  ///< without the sample axis
  DType dtype;
};

/// One tensor of the learner's state.
struct StateTensor {
  std::string name;  ///< its torch name, such as "conv1.weight"
  Shape shape;       ///< that of the init
  DType dtype;
  bool per_class;  ///< belongs to a shared head: axis 0 counts the classes of the task

  /// Its shape in the state of a task with `ways` classes.
  Shape shape_at(std::optional<std::int64_t> ways) const;
};

/// What a bundle says of itself (`manifest.json`), as far as a runner needs it.
struct Manifest {
  bool classification;               ///< or else regression
  std::optional<std::int64_t> ways;  ///< classes of the head; of the training, if it is shared
  TensorSpec input;
  TensorSpec target;           ///< shape () and int64 for labels
  std::int64_t inner_steps;    ///< that an adaptation takes unless told otherwise
  std::int64_t least_support;  ///< samples that an adaptation needs
  std::vector<StateTensor> state;
  std::string training;  ///< JSON: how it was trained; not checked, and null where it does not say
  double atol, rtol;     ///< how far from PyTorch a runtime may be, see `edgemeta-cpp verify`
  /// Names of all classes, by class index, where class k means the same in every task, so that the
  /// init predicts them before any adaptation; else empty.
  std::vector<Label> labels;

  /// Whether the head is a shared one, which takes any number of classes.
  bool any_ways() const;

  /// The most classes that a task can have; nothing for regression.
  std::optional<std::int64_t> most_ways() const;
};

/// One adapted state of a bundle: what predicts. Made by `Runner::adapt`, `load` or `init`.
class Learner {
 public:
  /// (steps + 1), the support loss before each step and after the last; empty where the learner
  /// was loaded.
  const std::vector<float>& losses() const;

  /// How many classes the task has; nothing for regression. The init of a shared head has one.
  std::optional<std::int64_t> ways() const;

  /// What the first classes, or all, are called, by class index, if the bundle names them, or the
  /// learner came from a state file that says so or was adapted from such a one; else empty.
  const std::vector<Label>& labels() const;

  /// Predicts (Q,) int64 labels of x (Q, *input.shape), or for regression (Q, *target.shape)
  /// float32 outputs. Throws Error (input): the samples cannot be used.
  Tensor predict(const View& x) const;

  /// (Q, ways) float32 logits, or for regression the outputs. Throws as `predict`.
  Tensor predict_logits(const View& x) const;

  /// (Q, ways) float32 probabilities: the softmax of the logits, not calibrated. Throws as
  /// `predict`, and for regression.
  Tensor predict_proba(const View& x) const;

  /// A learner that predicts faster, with the state as constants in a graph of its own. This takes
  /// as long as loading a bundle, some milliseconds, and keeps a second copy of the predicting
  /// graph in memory; it pays if you predict often with one state. Predictions differ from those of
  /// this learner by rounding. A frozen learner can be saved, and adapted further, which makes one
  /// that is not frozen. Throws Error (failure): ONNX Runtime failed.
  Learner freeze() const;

  /// Whether `freeze` made it.
  bool frozen() const;

  /// A copy of every tensor of the state, by torch name.
  Tensors state_dict() const;

  /// Writes the state to a `.safetensors` file, whole or not at all: Python reads it, too.
  /// `labels` are what the classes are called, by class index; empty leaves it at `labels()`.
  /// Throws Error (failure): the file cannot be written; Error (input): the labels could not be
  /// read back, because two are equal, a text is not UTF-8 or has control characters, or a number
  /// is not finite, or whole and beyond 2^53.
  void save(const std::filesystem::path& path, const std::vector<Label>& labels = {}) const;

  /// The content of the file that `save` writes, for a storage of your own. Throws as `save`.
  std::vector<std::byte> serialize(const std::vector<Label>& labels = {}) const;

 private:
  friend class Runner;
  friend struct Access;
  struct State;
  explicit Learner(std::shared_ptr<const State> state);

  std::shared_ptr<const State> state_;
};

/// Choices of an adaptation.
struct AdaptOptions {
  /// Inner steps; the bundle's own number unless given; 0 returns the start unchanged.
  std::optional<std::int64_t> steps = {};
  /// Multiplies the inner learning rate.
  double lr_scale = 1;
  /// A learner to continue from; the init unless given. It is only read, during the call.
  const Learner* state = nullptr;
  /// How many classes the task has, at most as many as the head; the others are out of reach then.
  /// Unless given, those of `state`, or all of the head's. A shared head takes any number, and
  /// unless given as many as `state` and the labels have.
  std::optional<std::int64_t> ways = {};
  /// Refuse an adaptation that diverged: the last loss not finite, or above 1.5 times the first
  /// and 0.01 (for regression, times the targets' mean square), or a state that is not finite.
  bool guard = true;
  /// Samples and labels (or targets) as x and y, not among them, on which the learner must be no
  /// worse than the start: as many right labels, or no larger a loss. A start that does not know
  /// some of the classes has their labels wrong. Both or neither.
  std::optional<View> holdout_x = {}, holdout_y = {};
};

/// Choices of loading a bundle.
struct RunnerOptions {
  /// Of ONNX Runtime, within one operator; 0 is one for each core.
  int threads = 0;
  /// A public key, the content of a PEM file: the bundle must be signed with the private one
  /// (`edgemeta sign`). Without one, unsigned bundles are taken too.
  std::optional<std::string> key = {};
};

/// The content of a bundle's files. It is only read, while a runner is made.
struct BundleFiles {
  Bytes manifest;        ///< manifest.json
  Bytes adapt, predict;  ///< adapt.onnx, predict.onnx
  Bytes init;            ///< init.bin
  Bytes signature = {};  ///< manifest.sig of a signed bundle
};

/// A loaded bundle.
///
/// Checked as in Python: the manifest's fields, types, limits, names and shapes; size and sha256 of
/// every file but the selftest, none of which is a link; that the graphs have nothing that the
/// compiler does not write: no op but those that the manifest lists, all of the standard ONNX
/// domain, and no external data but in `init.bin`; the names of their inputs and outputs. Sessions
/// are made of the bytes that were checked, in memory. Left to Python: the manifest's seal, and the
/// content of its `training`.
class Runner {
 public:
  /// Loads the bundle in a directory. `threads` are those of ONNX Runtime within one operator;
  /// 0 is one for each core. Throws Error (bundle): it is missing, damaged, or of an unknown
  /// version; Error (input): threads cannot be used; Error (failure): ONNX Runtime cannot be used.
  explicit Runner(const std::filesystem::path& bundle, int threads = 0);

  /// The same, with more choices. Throws, too, Error (bundle): it is not signed by the key; Error
  /// (input): the key cannot be used.
  Runner(const std::filesystem::path& bundle, const RunnerOptions& options);

  /// Loads a bundle from memory. Throws as the others.
  explicit Runner(const BundleFiles& files, const RunnerOptions& options = {});

  /// The directory; empty for a bundle from memory.
  const std::filesystem::path& path() const;
  const Manifest& manifest() const;

  /// The sha256 of `manifest.json`, which state files are bound to.
  const std::string& fingerprint() const;

  /// The learner before any adaptation, which predicts where the bundle names its classes.
  Learner init() const;

  /// Adapts to a support set: x (S, *input.shape) samples, as the model was trained on them, and
  /// y (S,) int64 labels 0, 1, ... below the ways, or (S, *target.shape) targets. To a shared head,
  /// a label beyond the classes of `options.state` is a new class. Where the bundle names its
  /// classes, label k is `manifest().labels[k]`.
  /// Throws Error (input): the support set or a number cannot be used; Error (adaptation): it
  /// diverged, or made the holdout worse. Neither the runner nor `options.state` changes.
  Learner adapt(const View& x, const View& y, const AdaptOptions& options = {}) const;

  /// Reads the recorded episode, `selftest.safetensors`, which nothing else reads: what PyTorch
  /// computed, to compare with what this machine does. cpp_runtime_notes.md describes its tensors.
  /// Throws Error (bundle): it is missing or damaged; Error (input): the bundle came from memory.
  Tensors selftest() const;

  /// Reads a learner that `Learner::save` wrote, here or in Python. Throws Error (bundle): the
  /// file is missing, damaged, or belongs to another bundle.
  Learner load(const std::filesystem::path& path) const;

  /// Reads what `Learner::serialize` returned, or the content of a state file. Throws as the other.
  Learner load(Bytes content) const;

 private:
  friend class Learner;
  friend struct Access;
  struct Core;

  std::shared_ptr<const Core> core_;
};

/// The classes (Q,) int64 that (Q, ways) float32 logits predict: `Learner::predict` of what
/// `Learner::predict_logits` returned, without another run. Throws Error (input): other logits.
Tensor labels_of(const View& logits);

/// The probabilities (Q, ways) float32 that (Q, ways) float32 logits stand for, not calibrated.
/// Throws Error (input): other logits.
Tensor softmax(const View& logits);

}  // namespace edgemeta
