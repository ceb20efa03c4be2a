#include "bundle.hpp"

#include <optional>
#include <utility>

#include "contract.hpp"
#include "invalid.hpp"
#include "platform.hpp"
#include "sha256.hpp"
#include "signature.hpp"

namespace edgemeta {
namespace {

namespace fs = std::filesystem;

constexpr auto kBundle = Error::Kind::bundle;
constexpr const char* kCopyAgain = "copy the bundle again";

Error no_bundle(const std::string& where, const std::string& reason) {
  return {kBundle, where + " is not a bundle", "no readable manifest.json (" + reason + ")", "",
          "make one with `edgemeta export RUN --out BUNDLE`"};
}

Error manifest_too_large(const std::string& where) {
  return {kBundle, where + " is too large", "",
          "at most " + std::to_string(contract::kMaxManifestBytes) + " bytes"};
}

std::string read_manifest(const fs::path& directory) {
  std::optional<std::string> content;
  try {
    content = read_regular(directory / kManifestFile, contract::kMaxManifestBytes, false);
  } catch (const Invalid& error) {
    throw no_bundle(directory.string(), error.what());
  }
  if (!content) throw manifest_too_large((directory / kManifestFile).string());
  return *std::move(content);
}

/// The content of `manifest.sig`; nothing if there is none, empty if it is too large for one.
std::optional<std::string> read_signature(const fs::path& directory) {
  try {
    return read_regular(directory / kSignatureFile, kSignatureBytes, false).value_or("");
  } catch (const Invalid&) {
    return std::nullopt;
  }
}

void check_content(const std::string& where, std::string_view content, const FileRecord& record) {
  if (content.size() != record.size) {
    throw Error(kBundle, where + " is damaged", std::to_string(content.size()) + " bytes",
                std::to_string(record.size) + " bytes", kCopyAgain);
  }
  if (const std::string found = sha256(content); found != record.sha256) {
    throw Error(kBundle, where + " is damaged", "sha256 " + found.substr(0, 12) + "...",
                record.sha256.substr(0, 12) + "...", kCopyAgain);
  }
}

/// Checks the graphs of a bundle whose files are read.
LoadedBundle checked(const fs::path& directory, const ManifestRecord& record, LoadedBundle bundle) {
  const std::vector<StateTensor>& state = bundle.manifest.state;
  check_onnx(directory / kAdaptFile, bundle.adapt, record.adapt_graph, state, bundle.init);
  bundle.predict_tensors =
      check_onnx(directory / kPredictFile, bundle.predict, record.predict_graph, state, bundle.init)
          .initializers;
  return bundle;
}

}  // namespace

std::string read_file(const fs::path& path, const FileRecord& record) {
  std::optional<std::string> content;
  try {
    content = read_regular(path, record.size, false);
  } catch (const Invalid& error) {
    throw Error(kBundle, path.string() + " cannot be read", error.what(), "", kCopyAgain);
  }
  if (!content) {
    throw Error(kBundle, path.string() + " is damaged", "more bytes",
                std::to_string(record.size) + " bytes", kCopyAgain);
  }
  check_content(path.string(), *content, record);
  return *std::move(content);
}

OnnxFile check_onnx(const fs::path& path, std::string_view content, const GraphSpec& spec,
                    const std::vector<StateTensor>& state, std::string_view init) {
  try {
    return check_graph(content, spec, state, init);
  } catch (const Invalid& error) {
    throw Error(kBundle, path.string() + " is no graph of a bundle", error.what(), "",
                "export the bundle again");
  }
}

LoadedBundle load_bundle(const fs::path& directory, const std::optional<std::string>& key) {
  const std::string content = read_manifest(directory);
  if (key) check_signature(directory.string(), content, read_signature(directory), *key);
  const ManifestRecord record = parse_manifest(content, (directory / kManifestFile).string());
  LoadedBundle bundle = {record.manifest, record.selftest, sha256(content), {}, {}, {}, {}};
  bundle.adapt = read_file(directory / kAdaptFile, record.adapt);
  bundle.predict = read_file(directory / kPredictFile, record.predict);
  bundle.init = read_file(directory / kInitFile, record.init);
  return checked(directory, record, std::move(bundle));
}

LoadedBundle load_bundle(const BundleFiles& files, const std::optional<std::string>& key) {
  const std::string_view content = files.manifest.text();
  if (content.size() > contract::kMaxManifestBytes) throw manifest_too_large(kManifestFile);
  if (key) {
    const bool there = !files.signature.empty();
    check_signature("the bundle", content,
                    there ? std::optional(files.signature.text()) : std::nullopt, *key);
  }
  const ManifestRecord record = parse_manifest(content, kManifestFile);
  LoadedBundle bundle = {record.manifest, record.selftest, sha256(content), {}, {}, {}, {}};
  const auto copy = [](const char* name, Bytes given, const FileRecord& wanted) {
    check_content(name, given.text(), wanted);
    return std::string(given.text());
  };
  bundle.adapt = copy(kAdaptFile, files.adapt, record.adapt);
  bundle.predict = copy(kPredictFile, files.predict, record.predict);
  bundle.init = copy(kInitFile, files.init, record.init);
  return checked({}, record, std::move(bundle));
}

}  // namespace edgemeta
