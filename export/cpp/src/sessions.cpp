#include "sessions.hpp"

#include <cstring>
#include <set>
#include <utility>

#include "dtypes.hpp"
#include "manifest.hpp"
#include "platform.hpp"

namespace edgemeta {
namespace {

constexpr int kGrowAsRequested = 1;  // ONNX Runtime's number for kSameAsRequested
constexpr int kItsDefault = -1;

static_assert(kDTypes[0].onnx == ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL &&
                  kDTypes[10].onnx == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
              "ONNX Runtime's numbers of dtypes are those of onnx.proto");

/// Calls ONNX Runtime: an error of it is one of ours.
template <class Call>
auto guarded(Call call) {
  try {
    return call();
  } catch (const Ort::Exception& error) {
    throw Error(Error::Kind::failure, "onnxruntime failed", error.what());
  }
}

ONNXTensorElementDataType type_of(const View& view) {
  return static_cast<ONNXTensorElementDataType>(row_of(view.dtype()).onnx);
}

const Ort::MemoryInfo& cpu() {
  static const Ort::MemoryInfo made =
      Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  return made;
}

std::shared_ptr<const Ort::Env> make_environment() {
  if (OrtGetApiBase()->GetApi(ORT_API_VERSION) == nullptr) {
    throw Error(Error::Kind::failure, "this ONNX Runtime is too old for its headers",
                OrtGetApiBase()->GetVersionString(), "1." + std::to_string(ORT_API_VERSION),
                "install a newer one, or build edgemeta with the headers of this one");
  }
  // Official builds of 1.29 and newer send telemetry from the moment that their environment is
  // made; a caller's own setting stays.
  set_default("ORT_DISABLE_TELEMETRY", "1");
  auto environment = std::make_shared<Ort::Env>(ORT_LOGGING_LEVEL_ERROR, "edgemeta");
  environment->DisableTelemetryEvents();  // where the program had made one already
  try {
    // All sessions take memory from one arena, which grows by what is needed. By default each has
    // an arena of its own, which doubles in size whenever it grows.
    environment->CreateAndRegisterAllocator(
        cpu(), Ort::ArenaCfg(0, kGrowAsRequested, kItsDefault, kItsDefault));
  } catch (const Ort::Exception&) {
    // The program has registered an arena of its own: then that one serves.
  }
  return environment;
}

std::shared_ptr<const Ort::Env> environment() {
  static const std::shared_ptr<const Ort::Env> made = guarded(make_environment);
  return made;
}

Ort::SessionOptions session_options(int threads, std::string& init) {
  Ort::SessionOptions options;
  options.SetLogSeverityLevel(
      ORT_LOGGING_LEVEL_ERROR);  // or it warns of every default-valued input
  options.SetIntraOpNumThreads(threads);
  options.SetInterOpNumThreads(1);
  // Patterns plan memory for each new shape anew, and take twice as much for no gain in speed.
  options.DisableMemPattern();
  options.AddConfigEntry("session.use_env_allocators", "1");
  // Threads that wait for work without sleeping take the processor from whatever else the device
  // does, for no gain or a small one.
  options.AddConfigEntry("session.intra_op.allow_spinning", "0");
  if (!init.empty()) {  // a graph with a state baked in has all in it
    options.AddExternalInitializersFromFilesInMemory({kInitFile}, {init.data()}, {init.size()});
  }
  return options;
}

Ort::Session open(const std::filesystem::path& path, const Ort::Env& environment,
                  const std::string& content, std::string& init, int threads) {
  try {
    return Ort::Session(environment, content.data(), content.size(),
                        session_options(threads, init));
  } catch (const Ort::Exception& error) {
    throw Error(Error::Kind::bundle, path.string() + " cannot be loaded", error.what(), "",
                "does this ONNX Runtime know the bundle's opset? see its manifest");
  }
}

std::set<std::string> input_names(const Ort::Session& session) {
  const Ort::AllocatorWithDefaultOptions allocator;
  std::set<std::string> names;
  for (std::size_t i = 0; i < session.GetInputCount(); ++i) {
    names.emplace(session.GetInputNameAllocated(i, allocator).get());
  }
  // Inputs that have a default are listed apart.
  for (std::size_t i = 0; i < session.GetOverridableInitializerCount(); ++i) {
    names.emplace(session.GetOverridableInitializerNameAllocated(i, allocator).get());
  }
  return names;
}

std::set<std::string> output_names(const Ort::Session& session) {
  const Ort::AllocatorWithDefaultOptions allocator;
  std::set<std::string> names;
  for (std::size_t i = 0; i < session.GetOutputCount(); ++i) {
    names.emplace(session.GetOutputNameAllocated(i, allocator).get());
  }
  return names;
}

std::vector<const char*> pointers_to(const std::vector<std::string>& names) {
  std::vector<const char*> pointers;
  for (const std::string& name : names) pointers.push_back(name.c_str());
  return pointers;
}

std::set<std::string> set_of(const std::vector<std::string>& names) {
  return {names.begin(), names.end()};
}

}  // namespace

Graph::Graph(const std::filesystem::path& path, const std::string& content, std::string& init,
             int threads, std::vector<std::string> inputs, std::vector<std::string> outputs)
    : environment_(environment()),
      session_(open(path, *environment_, content, init, threads)),
      inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      input_names_(pointers_to(inputs_)),
      output_names_(pointers_to(outputs_)) {
  const bool fits = guarded([this] {
    return input_names(session_) == set_of(inputs_) && output_names(session_) == set_of(outputs_);
  });
  if (!fits) {
    throw Error(Error::Kind::bundle, path.string() + " does not fit its manifest",
                "other inputs or outputs", "", "export the bundle again");
  }
}

std::vector<Ort::Value> Graph::run(const std::vector<const OrtValue*>& inputs) const {
  std::vector<const char*> names;
  std::vector<const OrtValue*> values;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr) continue;
    names.push_back(input_names_[i]);
    values.push_back(inputs[i]);
  }
  std::vector<OrtValue*> made(outputs_.size(), nullptr);
  call(names.data(), values.data(), values.size(), made.data());
  std::vector<Ort::Value> results;
  for (OrtValue* value : made) results.emplace_back(value);
  return results;
}

Ort::Value Graph::run_one(const std::vector<const OrtValue*>& inputs) const {
  OrtValue* made = nullptr;
  call(input_names_.data(), inputs.data(), inputs.size(), &made);
  return Ort::Value(made);
}

/// Calls the C interface: the C++ one wants all values side by side, those of the state in every
/// call. When it fails, it makes no value.
void Graph::call(const char* const* names, const OrtValue* const* values, std::size_t count,
                 OrtValue** made) const {
  guarded([&] {
    Ort::ThrowOnError(Ort::GetApi().Run(session_, nullptr, names, values, count,
                                        output_names_.data(), output_names_.size(), made));
  });
}

Ort::Value wrapped(const View& view) {
  return guarded([&view] {
    // ONNX Runtime wants a pointer to change, and changes no input.
    auto* data = const_cast<std::byte*>(view.bytes());
    return Ort::Value::CreateTensor(cpu(), data, view.nbytes(), view.shape().data(),
                                    view.shape().size(), type_of(view));
  });
}

View view_of(const Ort::Value& value) {
  return guarded([&value]() -> View {
    const auto info = value.GetTensorTypeAndShapeInfo();
    const auto type = info.GetElementType();
    for (const DTypeRow& row : kDTypes) {
      if (row.onnx == type) return {row.dtype, info.GetShape(), value.GetTensorRawData()};
    }
    throw Error(Error::Kind::failure, "onnxruntime returned an unknown dtype",
                std::to_string(type));
  });
}

Ort::Value copy_of(const View& view) {
  return guarded([&view] {
    const Ort::AllocatorWithDefaultOptions allocator;
    Ort::Value value = Ort::Value::CreateTensor(allocator, view.shape().data(), view.shape().size(),
                                                type_of(view));
    std::memcpy(value.GetTensorMutableRawData(), view.bytes(), view.nbytes());
    return value;
  });
}

}  // namespace edgemeta
