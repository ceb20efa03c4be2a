// What runners and learners share: a loaded bundle, and one state of it.

#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bundle.hpp"
#include "sessions.hpp"
#include "state.hpp"

namespace edgemeta {

/// A loaded bundle, ready to run.
struct Runner::Core {
  Core(std::filesystem::path directory, int threads, LoadedBundle bundle);

  std::filesystem::path path;
  Manifest manifest;
  FileRecord selftest;
  std::string fingerprint;
  std::string init;  // sessions may use it where it is
  int threads;
  std::string predict_content;                         // what `freeze` starts from
  std::map<std::string, Initializer> predict_tensors;  // what is in there, or in `init`
  Graph adapt, predict;

  /// What the predicting graph returns.
  const char* prediction() const { return manifest.classification ? "logits" : "output"; }

  /// Whether the head has a fixed number of classes, of which a task may leave some out.
  bool has_fixed_head() const { return manifest.ways && !manifest.any_ways(); }
};

/// A state of a bundle. It never changes once it is shared.
struct Learner::State {
  State(std::shared_ptr<const Runner::Core> of_core, std::vector<Ort::Value> of_values,
        std::optional<std::int64_t> of_ways);
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  /// Adapts to a checked support set. `start` is null for the init.
  static std::shared_ptr<State> adapted(const std::shared_ptr<const Runner::Core>& core,
                                        const View& x, const View& y, std::int64_t steps,
                                        float lr_scale, const State* start,
                                        std::optional<std::int64_t> ways);

  /// This state, or what the graphs hold for the init, which has no values of its own.
  static std::shared_ptr<const State> with_values(const std::shared_ptr<const State>& state);

  /// The same state with a graph of its own, in which it is constant.
  static std::shared_ptr<const State> frozen_of(const std::shared_ptr<const State>& state);

  /// Sets the labels: of names by class index, those of the classes that there are.
  void name(std::vector<Label> names);

  /// Views of the values, in the order of the manifest.
  std::vector<View> views() const;

  std::shared_ptr<const Runner::Core> core;
  std::vector<Ort::Value> values;  // as the manifest lists them; none: the init
  std::vector<float> losses;
  std::optional<std::int64_t> ways;
  std::vector<Label> labels;
  bool has_fixed_head;
  std::shared_ptr<const Graph> frozen;  // predicts with this state alone; null: `core->predict`

 private:
  friend class Learner;
  Ort::Value ways_value_;                 // of `ways`, where it lies
  std::vector<const OrtValue*> predict_;  // inputs of the prediction; the first is for the samples
};

/// The door into runners and learners for the other classes of the library.
struct Access {
  /// A state that is written where it lies, and the learner that holds it meanwhile.
  struct Held {
    Learner learner;
    StateViews views;  // neither extra tensors nor notes
  };

  static const Runner::Core& core(const Runner& runner) { return *runner.core_; }

  /// The learner that a state file describes; its extra tensors and notes are left alone.
  static Learner learner_of(const Runner& runner, const StateFile& file);

  static Held state_of(const Learner& learner);
};

}  // namespace edgemeta
