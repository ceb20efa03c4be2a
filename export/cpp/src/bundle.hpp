// The bundle's contract on disk: file names, tensor names, manifest, hashes.

#pragma once

#include <filesystem>
#include <string>

#include "edgemeta/runner.hpp"

namespace edgemeta {

inline constexpr const char* kSupportX = "support_x";
inline constexpr const char* kSupportY = "support_y";
inline constexpr const char* kSteps = "steps";
inline constexpr const char* kLrScale = "lr_scale";
inline constexpr const char* kWays = "ways";
inline constexpr const char* kLosses = "losses";
inline constexpr const char* kQueryX = "query_x";

/// Begins the names of what a state file has beside the state.
inline constexpr const char* kExtraPrefix = "edgemeta.";

inline constexpr std::int64_t kMaxWays = 65'536;  // of a shared head

/// A bundle in memory, checked.
struct LoadedBundle {
  Manifest manifest;
  std::string fingerprint;           // sha256 of the manifest
  std::string adapt, predict, init;  // the content of the files
};

/// Reads and checks a bundle. Throws Error (bundle): missing, damaged, of an unknown version.
LoadedBundle load_bundle(const std::filesystem::path& directory);

}  // namespace edgemeta
