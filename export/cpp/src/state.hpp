// State files: an adapted state on disk, bound to its bundle.

#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "edgemeta/runner.hpp"

namespace edgemeta {

/// What a state file holds, `T` being a tensor or a view.
template <class T>
struct StateOf {
  std::map<std::string, T> tensors;          // of the state, by torch name
  std::optional<std::int64_t> ways;          // classes of the task; nothing for regression
  std::optional<std::vector<Label>> labels;  // nothing without names
  std::map<std::string, T> extra;            // beside the state: names begin with "edgemeta."
  std::optional<std::string> notes;          // text beside the state: metadata edgemeta.estimator
};
using StateFile = StateOf<Tensor>;
using StateViews = StateOf<View>;  // what is written where it lies

/// Writes a state file, whole or not at all. Throws as `Learner::save`.
void write_state(const std::filesystem::path& path, const StateViews& state,
                 const std::string& fingerprint);

/// The content of a state file. Throws as `Learner::serialize`.
std::vector<std::byte> format_state(const StateViews& state, const std::string& fingerprint);

/// Reads a state file and checks that it is one of this bundle. Throws as `Runner::load`.
StateFile read_state(const std::filesystem::path& path, const Manifest& manifest,
                     const std::string& fingerprint);

/// Reads the content of a state file; errors call it `where`. Throws as `read_state`.
StateFile parse_state(std::string_view content, const std::string& where, const Manifest& manifest,
                      const std::string& fingerprint);

}  // namespace edgemeta
