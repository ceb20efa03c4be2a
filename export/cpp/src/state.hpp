// State files: an adapted state on disk, bound to its bundle.

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "edgemeta/runner.hpp"

namespace edgemeta {

/// What a state file holds, as far as a learner needs it.
struct StateFile {
  Tensors tensors;
  std::optional<std::int64_t> ways;
  std::vector<Label> labels;
};

/// Writes a state file, whole or not at all. Throws as `Learner::save`.
void write_state(const std::filesystem::path& path, const StateFile& state,
                 const std::string& fingerprint);

/// Reads a state file and checks that it is one of this bundle. Throws as `Runner::load`.
StateFile read_state(const std::filesystem::path& path, const Manifest& manifest,
                     const std::string& fingerprint);

}  // namespace edgemeta
