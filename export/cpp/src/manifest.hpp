// A bundle's manifest: what it says, and the names that cross from the desk to a device.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "edgemeta/runner.hpp"
#include "graph.hpp"

namespace edgemeta {

inline constexpr const char* kAdaptFile = "adapt.onnx";
inline constexpr const char* kPredictFile = "predict.onnx";
inline constexpr const char* kInitFile = "init.bin";
inline constexpr const char* kSelftestFile = "selftest.safetensors";
inline constexpr const char* kManifestFile = "manifest.json";
inline constexpr const char* kSignatureFile = "manifest.sig";

inline constexpr const char* kSupportX = "support_x";
inline constexpr const char* kSupportY = "support_y";
inline constexpr const char* kSteps = "steps";
inline constexpr const char* kLrScale = "lr_scale";
inline constexpr const char* kWays = "ways";
inline constexpr const char* kLosses = "losses";
inline constexpr const char* kQueryX = "query_x";

/// Begins the names of what a state file has beside the state.
inline constexpr const char* kExtraPrefix = "edgemeta.";

/// Size and hash of one file.
struct FileRecord {
  std::uint64_t size = 0;
  std::string sha256;
};

/// A manifest, checked, with what only the library needs of it.
struct ManifestRecord {
  Manifest manifest;
  GraphSpec adapt_graph, predict_graph;
  FileRecord adapt, predict, init, selftest;
};

/// Reads the content of a `manifest.json`; errors call it `where`. Throws Error (bundle): it is no
/// JSON, of an unknown version, or breaks the contract.
ManifestRecord parse_manifest(std::string_view content, const std::string& where);

}  // namespace edgemeta
