#include "state.hpp"

#include <utility>

#include "bundle.hpp"
#include "contract.hpp"
#include "inputs.hpp"
#include "invalid.hpp"
#include "labels.hpp"
#include "platform.hpp"
#include "sizes.hpp"
#include "tensor_file.hpp"

namespace edgemeta {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVersionKey = "edgemeta.format_version";
constexpr const char* kBundleKey = "edgemeta.bundle";
constexpr const char* kWaysKey = "edgemeta.ways";
constexpr const char* kLabelsKey = "edgemeta.labels";
constexpr const char* kNotesKey = "edgemeta.estimator";
constexpr const char* kDigestKey = "edgemeta.sha256";

Error refused(const std::string& what, const std::string& got = "",
              const std::string& expected = "", const std::string& hint = "") {
  return {Error::Kind::bundle, what, got, expected, hint};
}

std::string value_of(const TensorFile& file, const char* key) {
  const auto found = file.metadata.find(key);
  return found == file.metadata.end() ? "" : found->second;
}

/// How large a state file of a bundle can be, with a support set kept beside it.
std::uint64_t most_bytes(const Manifest& manifest) {
  std::uint64_t most = 2 * contract::kHeaderRoom;
  // The manifest's check bounds what is multiplied here: far from 64 bits.
  const auto add = [&most](const Shape& shape, DType dtype) {
    most += product_of(shape, size_of(dtype)).value();
  };
  for (const StateTensor& tensor : manifest.state) {
    add(tensor.shape_at(manifest.most_ways()), tensor.dtype);
  }
  for (const TensorSpec& spec : {manifest.input, manifest.target}) {
    add(batch_of(contract::kMostKept, spec.shape), spec.dtype);
  }
  return most;
}

Error too_large(const std::string& where, std::uint64_t most) {
  return refused(where + " is too large for a state of this bundle", "",
                 "at most " + std::to_string(most) + " bytes");
}

Error unreadable(const std::string& where, const Invalid& error) {
  return refused(where + " is no readable state file", error.what(), "",
                 "write one with `edgemeta-cpp adapt` or Learner::save");
}

void check_metadata(const std::string& where, const TensorFile& file,
                    const std::string& fingerprint) {
  if (const std::string version = value_of(file, kVersionKey); version != "1") {
    throw refused(where + " is no state file of this format", "'" + version + "'",
                  "format_version 1");
  }
  if (const std::string bundle = value_of(file, kBundleKey); bundle != fingerprint) {
    throw refused(where + " belongs to another bundle", "bundle " + bundle.substr(0, 12),
                  "bundle " + fingerprint.substr(0, 12),
                  "adapt this bundle to the support set again");
  }
}

std::optional<std::int64_t> read_ways(const std::string& where, const TensorFile& file,
                                      const Manifest& manifest) {
  if (!manifest.most_ways()) return std::nullopt;
  const std::int64_t least = manifest.any_ways() ? 1 : 2;  // the init of a shared head has one row
  const std::string text = value_of(file, kWaysKey);
  const bool number = !text.empty() && text.size() <= contract::kMostWaysDigits &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  const std::int64_t ways = number ? std::stoll(text) : 0;
  if (ways < least || ways > *manifest.most_ways()) {
    throw refused(where + " has an unusable number of ways", "'" + text + "'",
                  std::to_string(least) + ".." + std::to_string(*manifest.most_ways()));
  }
  return ways;
}

/// Moves the tensors of the state out of the file, checked.
Tensors take_tensors(const std::string& where, TensorFile& file, const Manifest& manifest,
                     std::optional<std::int64_t> ways) {
  Tensors tensors;
  for (const StateTensor& wanted : manifest.state) {
    const auto found = file.tensors.find(wanted.name);
    if (found == file.tensors.end()) throw refused(where + " lacks " + wanted.name);
    const Tensor& tensor = found->second;
    const Shape shape = wanted.shape_at(ways);
    if (tensor.shape() != shape || tensor.dtype() != wanted.dtype) {
      throw refused(where + ": " + wanted.name + " does not fit the bundle",
                    std::string(name_of(tensor.dtype())) + " " + text_of(tensor.shape()),
                    std::string(name_of(wanted.dtype)) + " " + text_of(shape));
    }
    if (!is_finite(tensor)) {
      throw refused(where + ": " + wanted.name + " holds values that are not finite");
    }
    tensors.insert(file.tensors.extract(found));
  }
  for (const auto& [name, tensor] : file.tensors) {
    if (name.rfind(kExtraPrefix, 0) != 0) throw refused(where + " has an unknown tensor", name);
  }
  return tensors;
}

std::optional<std::vector<Label>> read_labels(const std::string& where, const TensorFile& file) {
  const auto text = file.metadata.find(kLabelsKey);
  if (text == file.metadata.end()) return std::nullopt;
  try {
    return parse_labels(text->second);
  } catch (const Invalid& error) {
    throw refused(where + " has no readable labels", error.what(), "", "adapt again");
  }
}

TensorPieces pieces_of(const StateViews& state, const std::string& fingerprint) {
  Metadata metadata = {{kBundleKey, fingerprint}, {kVersionKey, "1"}};
  if (state.ways) metadata[kWaysKey] = std::to_string(*state.ways);
  if (state.notes) metadata[kNotesKey] = *state.notes;
  if (state.labels) metadata[kLabelsKey] = format_labels(*state.labels);
  Views tensors = state.tensors;
  tensors.insert(state.extra.begin(), state.extra.end());
  metadata[kDigestKey] = digest(metadata, tensors);
  return format_tensors(metadata, tensors);
}

}  // namespace

void write_state(const fs::path& path, const StateViews& state, const std::string& fingerprint) {
  const TensorPieces pieces = pieces_of(state, fingerprint);
  write_atomically(path, pieces.all());
}

std::vector<std::byte> format_state(const StateViews& state, const std::string& fingerprint) {
  const TensorPieces pieces = pieces_of(state, fingerprint);
  const auto all = pieces.all();
  std::size_t size = 0;
  for (const std::string_view piece : all) size += piece.size();
  std::vector<std::byte> content;
  content.reserve(size);
  for (const std::string_view piece : all) {
    const auto* const first = reinterpret_cast<const std::byte*>(piece.data());
    content.insert(content.end(), first, first + piece.size());
  }
  return content;
}

StateFile read_state(const fs::path& path, const Manifest& manifest,
                     const std::string& fingerprint) {
  const std::uint64_t most = most_bytes(manifest);
  std::optional<std::string> content;
  try {
    content = read_regular(path, most, true);
  } catch (const Invalid& error) {
    throw unreadable(path.string(), error);
  }
  if (!content) throw too_large(path.string(), most);
  return parse_state(*content, path.string(), manifest, fingerprint);
}

StateFile parse_state(std::string_view content, const std::string& where, const Manifest& manifest,
                      const std::string& fingerprint) {
  if (const auto most = most_bytes(manifest); content.size() > most) throw too_large(where, most);
  TensorFile file;
  try {
    file = parse_tensors(content);
  } catch (const Invalid& error) {
    throw unreadable(where, error);
  }
  check_metadata(where, file, fingerprint);
  const std::string said = value_of(file, kDigestKey);
  file.metadata.erase(kDigestKey);
  if (said != digest(file.metadata, views_of(file.tensors))) {
    throw refused(where + " is damaged", "other values than were saved", "", "copy it again");
  }
  StateFile state;
  state.ways = read_ways(where, file, manifest);
  state.labels = read_labels(where, file);
  if (const auto notes = file.metadata.find(kNotesKey); notes != file.metadata.end()) {
    state.notes = notes->second;
  }
  state.tensors = take_tensors(where, file, manifest, state.ways);
  state.extra = std::move(file.tensors);  // what is left
  return state;
}

}  // namespace edgemeta
