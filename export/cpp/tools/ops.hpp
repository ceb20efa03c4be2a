// Ops of `edgemeta-cpp serve` for those who compare runtimes.

#pragma once

#include <nlohmann/json.hpp>

#include "edgemeta/runner.hpp"

/// Predicts with a learner, and with the same one frozen:
///   {"op": "freeze", "episode": FILE, "out": FILE, "state": FILE, "ways": N} -> {"frozen": true}
/// `out` gets predictions in pairs, X.plain and X.frozen: of the adapted learner (X is left out),
/// the init, and the two adapted further; and again.frozen, of the frozen one that was saved to
/// `state` and loaded. State and ways may be left out.
nlohmann::json freeze(const nlohmann::json& request, const edgemeta::Runner& runner);
