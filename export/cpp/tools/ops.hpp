// Ops of `edgemeta-cpp serve` for those who compare runtimes.

#pragma once

#include <nlohmann/json.hpp>

#include "edgemeta/runner.hpp"

/// Learns classes with names, or loads a classifier, and says what it makes of queries:
///   {"op": "classify", "bundle": DIR, "episode": FILE, "names": [...], "options": {...},
///    "load": FILE, "more": FILE, "forget": LABEL, "save": FILE}
///   -> {"labels": [...], "probabilities": [[...]], "familiarity": [...], "temperature": T,
///       "classes": [...]}
/// The episode has the tensors x, y (places in the names) and query; `more`, which is learned from
/// afterwards, x and y. The options are those of `edgemeta::ClassifierOptions`, the unknown label
/// is "unknown". With `load`, nothing is fitted. What is null may be left out, and the temperature
/// is null where the probabilities are not calibrated.
nlohmann::json classify(const nlohmann::json& request, int threads);

/// Predicts with a learner, and with the same one frozen:
///   {"op": "freeze", "episode": FILE, "out": FILE, "state": FILE, "ways": N} -> {"frozen": true}
/// `out` gets predictions in pairs, X.plain and X.frozen: of the adapted learner (X is left out),
/// the init, and the two adapted further; and again.frozen, of the frozen one that was saved to
/// `state` and loaded. State and ways may be left out.
nlohmann::json freeze(const nlohmann::json& request, const edgemeta::Runner& runner);

/// Computes what a bundle for sound takes:
///   {"op": "features", "clip": FILE, "out": FILE} -> {"shape": [1, frames, width], "length": N}
/// The clip is a tensor of that name, `out` gets the tensor features.
nlohmann::json features(const nlohmann::json& request, const edgemeta::Runner& runner);
