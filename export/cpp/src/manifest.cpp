#include "manifest.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "contract.hpp"
#include "dtypes.hpp"
#include "invalid.hpp"
#include "json.hpp"
#include "sizes.hpp"
#include "text.hpp"

// edgemeta/bundle/manifest.py and _entries.py are the same in Python.

namespace edgemeta {
namespace {

const std::set<std::string> kFields = {"adapted_parameters",
                                       "algorithm",
                                       "files",
                                       "flops_per_step",
                                       "format_version",
                                       "input",
                                       "inner_steps",
                                       "least_support",
                                       "ops",
                                       "opset",
                                       "parity",
                                       "peak_memory_bytes",
                                       "state",
                                       "target",
                                       "task",
                                       "training",
                                       "tuned",
                                       "versions",
                                       "ways"};
constexpr const char* kSeal = "seal";      // may be missing; Python alone looks at it
constexpr const char* kLabels = "labels";  // missing where classes have no names

DType dtype_at(const Json& record) {
  return dtype_where(&DTypeRow::name, std::string_view(text_at(record, "dtype")));
}

TensorSpec spec_at(const Json& record, const char* key) {
  const Json& spec = at(record, key);
  check_fields(spec, key, {"shape", "dtype"});
  const Shape shape = shape_at(spec, "shape");
  const auto numbers = product_of(shape, 1);
  if (!numbers || *numbers > contract::kMaxSampleNumbers) {
    throw Invalid("one sample of shape " + text_of(shape));
  }
  return {shape, dtype_at(spec)};
}

FileRecord file_at(const Json& files, const char* name, std::int64_t most) {
  const Json& file = at(files, name);
  check_fields(file, name, {"size", "sha256"});
  const std::string& hash = text_at(file, "sha256");
  if (hash.size() != 64 || hash.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw Invalid("sha256 " + hash);
  }
  return {static_cast<std::uint64_t>(integer_at(file, "size", 0, most)), hash};
}

void read_files(const Json& record, ManifestRecord& found) {
  const Json& files = at(record, "files");
  check_fields(files, "files", {kAdaptFile, kPredictFile, kInitFile, kSelftestFile});
  found.adapt = file_at(files, kAdaptFile, contract::kMaxGraphBytes);
  found.predict = file_at(files, kPredictFile, contract::kMaxGraphBytes);
  found.init = file_at(files, kInitFile, contract::kMaxInitBytes);
  found.selftest = file_at(files, kSelftestFile, contract::kMaxSelftestBytes);
}

bool is_name(const std::string& name) {
  const bool reserved = std::find(std::begin(contract::kReserved), std::end(contract::kReserved),
                                  name) != std::end(contract::kReserved);
  return !name.empty() && name.size() <= contract::kMaxName && !reserved &&
         !has_control(name, "") && name.rfind(kExtraPrefix, 0) != 0;
}

StateTensor state_tensor(const Json& record, const Manifest& manifest) {
  check_fields(record, "a state tensor", {"name", "shape", "dtype", "kind", "per_class"});
  const std::string& name = text_at(record, "name");
  if (!is_name(name)) throw Invalid("the name of state tensor " + name);
  if (const std::string& kind = text_at(record, "kind"); kind != "parameter" && kind != "buffer") {
    throw Invalid(name + " of kind " + kind);
  }
  const Json& per_class = at(record, "per_class");
  if (!per_class.is_boolean()) throw Invalid(name + " with per_class " + per_class.dump());
  StateTensor tensor = {name, shape_at(record, "shape"), dtype_at(record), per_class.get<bool>()};
  if (tensor.per_class &&
      (!manifest.classification || tensor.shape.empty() || tensor.shape[0] != 1)) {
    throw Invalid(name + " is per_class, with shape " + text_of(tensor.shape));
  }
  return tensor;
}

std::vector<StateTensor> state_at(const Json& record, std::uint64_t init_bytes,
                                  const Manifest& manifest) {
  const Json& list = at(record, "state");
  if (!list.is_array() || list.empty() || list.size() > contract::kMaxStateTensors) {
    throw Invalid("no state, or too much of it");
  }
  std::vector<StateTensor> state;
  std::set<std::string> names;
  std::uint64_t room = init_bytes;
  for (const Json& entry : list) {
    state.push_back(state_tensor(entry, manifest));
    const StateTensor& tensor = state.back();
    const auto size = product_of(tensor.shape, size_of(tensor.dtype));
    if (!size || *size > room) throw Invalid("a state larger than init.bin");
    room -= *size;
    if (!names.insert(tensor.name).second) throw Invalid("a state tensor twice: " + tensor.name);
  }
  return state;
}

double tolerance_at(const Json& record, const char* key) {
  const Json& value = at(at(record, "parity"), key);
  if (!value.is_number() || value.get<double>() < 0) throw Invalid("no usable parity record");
  return value.get<double>();
}

std::set<std::string> texts_of(const Json& list, const char* name) {
  std::set<std::string> found;
  for (const Json& text : list) {
    if (!text.is_string()) throw Invalid(std::string(name) + " " + text.dump());
    found.insert(text.get<std::string>());
  }
  return found;
}

GraphSpec graph_at(const Json& record, const char* graph) {
  const Json& list = at(at(record, "ops"), graph);
  if (!list.is_array()) throw Invalid("ops " + list.dump());
  return {static_cast<std::uint64_t>(integer_at(record, "opset", 0)), texts_of(list, "ops")};
}

/// Checks what no runner looks at.
void check_rest(const Json& record) {
  for (const char* key : {"adapted_parameters", "flops_per_step", "peak_memory_bytes"}) {
    integer_at(record, key, 0);
  }
  for (const char* key : {"algorithm", "versions"}) {
    if (!at(record, key).is_object()) throw Invalid(std::string(key) + " is no object");
  }
  for (const char* key : {"training", "tuned"}) {
    const Json& value = at(record, key);
    if (!value.is_null() && !value.is_object()) throw Invalid(std::string(key) + " is no object");
  }
  texts_of(record["versions"], "versions");
}

/// The names of all classes; nothing without them.
std::vector<Label> labels_at(const Json& record, const Manifest& manifest) {
  const auto found = record.find(kLabels);
  if (found == record.end()) return {};
  if (!found->is_array()) throw Invalid("labels " + found->dump());
  const std::set<std::string> once = texts_of(*found, kLabels);
  const auto classes = static_cast<std::int64_t>(found->size());
  if (manifest.ways != classes) {
    throw Invalid(std::to_string(classes) + " labels for another number of ways");
  }
  if (once.size() != found->size()) throw Invalid("a label twice");
  if (manifest.any_ways()) throw Invalid("labels of a shared head");
  std::vector<Label> labels;
  for (const Json& label : *found) labels.emplace_back(label.get<std::string>());
  return labels;
}

Manifest manifest_of(const Json& record, std::uint64_t init_bytes) {
  Manifest manifest = {};
  const std::string& task = text_at(record, "task");
  manifest.classification = task == "classification";
  if (!manifest.classification && task != "regression") throw Invalid("task " + task);
  if (manifest.classification) {
    manifest.ways = integer_at(record, "ways", 1, contract::kMaxWays);
  } else if (!at(record, "ways").is_null()) {
    throw Invalid("ways for regression");
  }
  manifest.input = spec_at(record, "input");
  manifest.target = spec_at(record, "target");
  const DType labels = manifest.classification ? DType::int64 : DType::float32;
  if (manifest.target.dtype != labels ||
      (manifest.classification && !manifest.target.shape.empty())) {
    throw Invalid("target " + text_of(manifest.target.shape));
  }
  manifest.training = at(record, "training").dump();
  manifest.inner_steps = integer_at(record, "inner_steps", 0);
  manifest.least_support = integer_at(record, "least_support", 1);
  manifest.state = state_at(record, init_bytes, manifest);
  manifest.labels = labels_at(record, manifest);
  manifest.atol = tolerance_at(record, "atol");
  manifest.rtol = tolerance_at(record, "rtol");
  if (manifest.atol == 0) throw Invalid("no usable parity record");
  return manifest;
}

ManifestRecord record_of(Json& record) {
  record.erase(kSeal);
  std::set<std::string> fields = kFields;
  if (record.contains(kLabels)) fields.insert(kLabels);
  check_fields(record, "the manifest", fields);
  ManifestRecord found;
  read_files(record, found);
  check_fields(record["ops"], "ops", {kAdaptFile, kPredictFile});
  found.adapt_graph = graph_at(record, kAdaptFile);
  found.predict_graph = graph_at(record, kPredictFile);
  found.manifest = manifest_of(record, found.init.size);
  check_rest(record);
  return found;
}

}  // namespace

ManifestRecord parse_manifest(std::string_view content, const std::string& where) {
  constexpr auto kBundle = Error::Kind::bundle;
  Json record;
  try {
    record = parse_object(content);
  } catch (const Invalid& error) {
    throw Error(kBundle, where + " is not a JSON object", error.what());
  }
  const auto version = record.find("format_version");
  if (version == record.end() || !version->is_number_integer() ||
      *version != contract::kFormatVersion) {
    throw Error(kBundle, where + " has an unknown format_version",
                version == record.end() ? "none" : version->dump(),
                std::to_string(contract::kFormatVersion),
                "take an edgemeta that knows it, or export the bundle again");
  }
  try {
    return record_of(record);
  } catch (const Invalid& error) {
    throw Error(kBundle, where + " breaks the contract", error.what(), "",
                "export the bundle again");
  }
}

Shape StateTensor::shape_at(std::optional<std::int64_t> ways) const {
  Shape found = shape;
  if (per_class) found.front() = ways.value_or(1);
  return found;
}

bool Manifest::any_ways() const {
  return std::any_of(state.begin(), state.end(),
                     [](const auto& tensor) { return tensor.per_class; });
}

std::optional<std::int64_t> Manifest::most_ways() const {
  return any_ways() ? std::optional(contract::kMaxWays) : ways;
}

}  // namespace edgemeta
