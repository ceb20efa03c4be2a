// A bundle's files, read once and used as they were checked.

#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "manifest.hpp"

namespace edgemeta {

/// A bundle in memory, checked.
struct LoadedBundle {
  Manifest manifest;
  FileRecord selftest;                                 // which whoever verifies reads
  std::string fingerprint;                             // sha256 of the manifest
  std::string adapt, predict, init;                    // the content of the files
  std::map<std::string, Initializer> predict_tensors;  // what predict.onnx has, or `init`
};

/// Reads a file of a bundle. Throws Error (bundle): it is missing, a link, or has another size or
/// hash.
std::string read_file(const std::filesystem::path& path, const FileRecord& record);

/// Checks a graph of a bundle, as `check_graph` does. Throws Error (bundle): it is none.
OnnxFile check_onnx(const std::filesystem::path& path, std::string_view content,
                    const GraphSpec& spec, const std::vector<StateTensor>& state,
                    std::string_view init);

/// Reads and checks a bundle. `key` is the content of a PEM file; nothing asks for no signature.
/// Throws as the constructors of `Runner`.
LoadedBundle load_bundle(const std::filesystem::path& directory,
                         const std::optional<std::string>& key);

/// The same of a bundle in memory, of which the result is a copy.
LoadedBundle load_bundle(const BundleFiles& files, const std::optional<std::string>& key);

}  // namespace edgemeta
