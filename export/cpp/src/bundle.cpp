#include "bundle.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "dtypes.hpp"
#include "files.hpp"
#include "graph.hpp"
#include "invalid.hpp"
#include "json.hpp"
#include "sha256.hpp"

namespace edgemeta {
namespace {

namespace fs = std::filesystem;

// Real ones have a few kB, a few MB, some MB: what is larger was made to fill the memory.
constexpr std::size_t kMaxManifestBytes = 1 << 19;
constexpr std::int64_t kMaxGraphBytes = 1 << 26;
constexpr std::int64_t kMaxInitBytes = std::int64_t{1} << 31;
constexpr std::int64_t kMaxSelftestBytes = 1 << 28;
constexpr std::int64_t kMaxSampleNumbers = 1 << 26;
constexpr std::size_t kMaxStateTensors = 4096;
constexpr std::size_t kMaxName = 500;  // bytes
constexpr const char* kCopyAgain = "copy the bundle again";

const std::set<std::string> kReserved = {kSupportX, kSupportY, kSteps,   kLrScale, kWays,
                                         kLosses,   kQueryX,   "logits", "output"};

/// Size and hash of one file.
struct FileRecord {
  std::size_t size;
  std::string sha256;
};

DType dtype_at(const Json& record) {
  return dtype_where(&DTypeRow::name, std::string_view(text_at(record, "dtype")));
}

TensorSpec spec_at(const Json& record, const char* key) {
  const Json& spec = at(record, key);
  return {shape_at(spec, "shape", kMaxSampleNumbers), dtype_at(spec)};
}

FileRecord file_at(const Json& record, const char* name, std::int64_t most) {
  const Json& file = at(at(record, "files"), name);
  const std::string hash = text_at(file, "sha256");
  if (hash.size() != 64 || hash.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw Invalid("sha256 " + hash);
  }
  return {static_cast<std::size_t>(integer_at(file, "size", 0, most)), hash};
}

StateTensor state_tensor(const Json& record, std::int64_t most, const Manifest& manifest) {
  const Json& per_class = at(record, "per_class");
  const StateTensor tensor = {text_at(record, "name"), shape_at(record, "shape", most),
                              dtype_at(record), per_class.is_boolean() && per_class.get<bool>()};
  const std::string& name = tensor.name;
  const bool reserved = kReserved.count(name) > 0 || name.rfind(kExtraPrefix, 0) == 0;
  if (name.empty() || name.size() > kMaxName || reserved || name.find('\0') != std::string::npos) {
    throw Invalid("the name of state tensor " + name);
  }
  if (tensor.per_class &&
      (!manifest.classification || tensor.shape.empty() || tensor.shape[0] != 1)) {
    throw Invalid(name + " is per_class, with shape " + text_of(tensor.shape));
  }
  return tensor;
}

std::vector<StateTensor> state_at(const Json& record, std::size_t init_bytes,
                                  const Manifest& manifest) {
  const Json& list = at(record, "state");
  if (!list.is_array() || list.empty() || list.size() > kMaxStateTensors) throw Invalid("no state");
  std::vector<StateTensor> state;
  std::set<std::string> names;
  std::size_t size = 0;
  for (const Json& entry : list) {
    state.push_back(state_tensor(entry, static_cast<std::int64_t>(init_bytes), manifest));
    size += count_of(state.back().shape) * size_of(state.back().dtype);
    if (!names.insert(state.back().name).second) throw Invalid("a state tensor twice");
  }
  if (size > init_bytes) throw Invalid("a state larger than init.bin");
  return state;
}

double tolerance_at(const Json& record, const char* key) {
  const Json& value = at(at(record, "parity"), key);
  if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() < 0) {
    throw Invalid("no usable parity record");
  }
  return value.get<double>();
}

Manifest manifest_of(const Json& record, std::size_t init_bytes) {
  Manifest manifest = {};
  const std::string task = text_at(record, "task");
  manifest.classification = task == "classification";
  if (!manifest.classification && task != "regression") throw Invalid("task " + task);
  if (manifest.classification) manifest.ways = integer_at(record, "ways", 1, kMaxWays);
  manifest.input = spec_at(record, "input");
  manifest.target = spec_at(record, "target");
  const DType labels = manifest.classification ? DType::int64 : DType::float32;
  if (manifest.target.dtype != labels ||
      (manifest.classification && !manifest.target.shape.empty())) {
    throw Invalid("target " + text_of(manifest.target.shape));
  }
  manifest.inner_steps = integer_at(record, "inner_steps", 0);
  manifest.least_support = integer_at(record, "least_support", 1);
  manifest.state = state_at(record, init_bytes, manifest);
  manifest.atol = tolerance_at(record, "atol");
  manifest.rtol = tolerance_at(record, "rtol");
  return manifest;
}

std::set<std::string> ops_of(const Json& record, const char* graph) {
  std::set<std::string> ops;
  const Json& list = at(at(record, "ops"), graph);
  if (!list.is_array()) throw Invalid("ops");
  for (const Json& op : list) {
    if (!op.is_string()) throw Invalid("ops");
    ops.insert(op.get<std::string>());
  }
  return ops;
}

std::string read_manifest(const fs::path& directory) {
  const fs::path path = directory / "manifest.json";
  try {
    auto content = read_regular(path, kMaxManifestBytes, false);
    if (content) return *std::move(content);
  } catch (const Invalid& error) {
    throw Error(Error::Kind::bundle, directory.string() + " is not a bundle",
                "no readable manifest.json (" + std::string(error.what()) + ")", "",
                "make one with `edgemeta export RUN --out BUNDLE`");
  }
  throw Error(Error::Kind::bundle, path.string() + " is too large", "",
              "at most " + std::to_string(kMaxManifestBytes) + " bytes");
}

std::string read_file(const fs::path& path, const FileRecord& record) {
  std::optional<std::string> content;
  try {
    content = read_regular(path, record.size, false);
  } catch (const Invalid& error) {
    throw Error(Error::Kind::bundle, path.string() + " cannot be read", error.what(), "",
                kCopyAgain);
  }
  if (!content || content->size() != record.size) {
    throw Error(Error::Kind::bundle, path.string() + " is damaged",
                content ? std::to_string(content->size()) + " bytes" : "more bytes",
                std::to_string(record.size) + " bytes", kCopyAgain);
  }
  if (const std::string found = sha256(*content); found != record.sha256) {
    throw Error(Error::Kind::bundle, path.string() + " is damaged",
                "sha256 " + found.substr(0, 12) + "...", record.sha256.substr(0, 12) + "...",
                kCopyAgain);
  }
  return *std::move(content);
}

std::string read_graph(const fs::path& path, const FileRecord& record,
                       const std::set<std::string>& ops) {
  std::string content = read_file(path, record);
  try {
    check_graph(content, ops);
  } catch (const Invalid& error) {
    throw Error(Error::Kind::bundle, path.string() + " is no graph of a bundle", error.what(), "",
                "export the bundle again");
  }
  return content;
}

/// Throws Error: the manifest has another version than this code knows.
void check_version(const Json& record, const fs::path& path) {
  const auto version = record.find("format_version");
  if (version == record.end() || !version->is_number_integer() || *version != 1) {
    throw Error(Error::Kind::bundle, path.string() + " has an unknown format_version",
                version == record.end() ? "none" : version->dump(), "1",
                "take an edgemeta that knows it, or export the bundle again");
  }
}

}  // namespace

LoadedBundle load_bundle(const fs::path& directory) {
  const std::string content = read_manifest(directory);
  const fs::path path = directory / "manifest.json";
  LoadedBundle bundle = {};
  bundle.fingerprint = sha256(content);
  FileRecord adapt, predict, init, selftest;
  std::set<std::string> adapt_ops, predict_ops;
  try {
    const Json record = parse_object(content);
    check_version(record, path);
    adapt = file_at(record, "adapt.onnx", kMaxGraphBytes);
    predict = file_at(record, "predict.onnx", kMaxGraphBytes);
    init = file_at(record, "init.bin", kMaxInitBytes);
    selftest = file_at(record, "selftest.safetensors", kMaxSelftestBytes);
    adapt_ops = ops_of(record, "adapt.onnx");
    predict_ops = ops_of(record, "predict.onnx");
    bundle.manifest = manifest_of(record, init.size);
  } catch (const Invalid& error) {
    throw Error(Error::Kind::bundle, path.string() + " breaks the contract", error.what(), "",
                "export the bundle again");
  }
  bundle.adapt = read_graph(directory / "adapt.onnx", adapt, adapt_ops);
  bundle.predict = read_graph(directory / "predict.onnx", predict, predict_ops);
  bundle.init = read_file(directory / "init.bin", init);
  read_file(directory / "selftest.safetensors", selftest);
  return bundle;
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
  return any_ways() ? std::optional(kMaxWays) : ways;
}

}  // namespace edgemeta
