#include "state.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "bundle.hpp"
#include "files.hpp"
#include "inputs.hpp"
#include "invalid.hpp"
#include "json.hpp"
#include "tensor_file.hpp"

namespace edgemeta {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVersionKey = "edgemeta.format_version";
constexpr const char* kBundleKey = "edgemeta.bundle";
constexpr const char* kWaysKey = "edgemeta.ways";
constexpr const char* kLabelsKey = "edgemeta.labels";
constexpr const char* kDigestKey = "edgemeta.sha256";
constexpr std::size_t kLabelsRoom = kHeaderRoom / 4;  // quotes and backslashes are doubled in there
constexpr std::size_t kMostKept = 65'536;             // samples that Python may keep beside a state
constexpr std::size_t kMostDigits = 9;

Error refused(const std::string& what, const std::string& got = "",
              const std::string& expected = "", const std::string& hint = "") {
  return {Error::Kind::bundle, what, got, expected, hint};
}

std::string value_of(const TensorFile& file, const char* key) {
  const auto found = file.metadata.find(key);
  return found == file.metadata.end() ? "" : found->second;
}

/// How large a state file of a bundle can be, with a support set kept beside it.
std::size_t most_bytes(const Manifest& manifest) {
  std::size_t most = 2 * kHeaderRoom;
  for (const StateTensor& tensor : manifest.state) {
    most += count_of(tensor.shape_at(manifest.most_ways())) * size_of(tensor.dtype);
  }
  for (const TensorSpec& spec : {manifest.input, manifest.target}) {
    most += kMostKept * count_of(spec.shape) * size_of(spec.dtype);
  }
  return most;
}

TensorFile read(const fs::path& path, const Manifest& manifest) {
  const std::size_t most = most_bytes(manifest);
  try {
    if (const auto content = read_regular(path, most, true)) return parse_tensors(*content);
  } catch (const Invalid& error) {
    throw refused(path.string() + " is no readable state file", error.what(), "",
                  "write one with `edgemeta-cpp adapt` or Learner::save");
  }
  throw refused(path.string() + " is too large for a state of this bundle", "",
                "at most " + std::to_string(most) + " bytes");
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
  const bool number = !text.empty() && text.size() <= kMostDigits &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  const std::int64_t ways = number ? std::stoll(text) : 0;
  if (ways < least || ways > *manifest.most_ways()) {
    throw refused(where + " has an unusable number of ways", "'" + text + "'",
                  std::to_string(least) + ".." + std::to_string(*manifest.most_ways()));
  }
  return ways;
}

/// Moves the tensors of the state out of the file, checked.
Tensors read_tensors_of(const std::string& where, TensorFile& file, const Manifest& manifest,
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

Label label_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer() || value.is_boolean()) return value.get<std::int64_t>();
  if (value.is_number()) return value.get<double>();
  throw Invalid("one that is neither text nor number");
}

std::vector<Label> read_labels(const std::string& where, const std::string& text) {
  try {
    const Json list = Json::parse(text);
    if (!list.is_array()) throw Invalid(text);
    std::vector<Label> labels;
    for (const Json& value : list) labels.push_back(label_of(value));
    if (std::set<Label>(labels.begin(), labels.end()).size() != labels.size()) {
      throw Invalid("one of them twice");
    }
    return labels;
  } catch (const std::exception& error) {  // ours, or the JSON library's
    throw refused(where + " has no readable labels", error.what(), "", "adapt again");
  }
}

std::string format_labels(const std::vector<Label>& labels) {
  Json list = Json::array();
  for (const Label& label : labels) {
    std::visit([&list](const auto& value) { list.push_back(value); }, label);
  }
  try {
    const std::string text = list.dump();
    if (text.size() <= kLabelsRoom) return text;
    throw Error(Error::Kind::input, "labels are too long", std::to_string(text.size()),
                "at most " + std::to_string(kLabelsRoom));
  } catch (const Json::exception&) {
    throw Error(Error::Kind::input, "labels must be UTF-8");
  }
}

}  // namespace

void write_state(const fs::path& path, const StateFile& state, const std::string& fingerprint) {
  TensorFile file = {{{kBundleKey, fingerprint}, {kVersionKey, "1"}}, state.tensors};
  if (state.ways) file.metadata[kWaysKey] = std::to_string(*state.ways);
  if (!state.labels.empty()) file.metadata[kLabelsKey] = format_labels(state.labels);
  file.metadata[kDigestKey] = digest(file);
  write_tensors(path, file);
}

StateFile read_state(const fs::path& path, const Manifest& manifest,
                     const std::string& fingerprint) {
  const std::string where = path.string();
  TensorFile file = read(path, manifest);
  check_metadata(where, file, fingerprint);
  const std::string said = value_of(file, kDigestKey);
  file.metadata.erase(kDigestKey);
  if (said != digest(file)) {
    throw refused(where + " is damaged", "other values than were saved", "", "copy it again");
  }
  StateFile state;
  state.ways = read_ways(where, file, manifest);
  if (file.metadata.count(kLabelsKey) > 0) {
    state.labels = read_labels(where, file.metadata.at(kLabelsKey));
  }
  state.tensors = read_tensors_of(where, file, manifest, state.ways);
  return state;
}

}  // namespace edgemeta
