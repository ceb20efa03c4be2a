#include "sessions.hpp"

#include <cstdlib>
#include <cstring>

#include "dtypes.hpp"

namespace edgemeta {
namespace {

constexpr int kGrowAsRequested = 1;  // ONNX Runtime's number for kSameAsRequested
constexpr int kItsDefault = -1;

Ort::MemoryInfo cpu() {
  return Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
}

std::shared_ptr<const Ort::Env> make_environment() {
  if (OrtGetApiBase()->GetApi(ORT_API_VERSION) == nullptr) {
    throw Error(Error::Kind::failure, "this ONNX Runtime is too old for its headers",
                OrtGetApiBase()->GetVersionString(), "1." + std::to_string(ORT_API_VERSION),
                "install a newer one, or build edgemeta with the headers of this one");
  }
  // Official builds of 1.29 and newer send telemetry from the moment that their environment is
  // made; a caller's own setting stays.
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);
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
  static const std::shared_ptr<const Ort::Env> made = make_environment();
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
  options.AddExternalInitializersFromFilesInMemory({"init.bin"}, {init.data()}, {init.size()});
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

/// What ONNX Runtime reads in place: nothing is copied.
Ort::Value wrapped(const View& view) {
  // ONNX Runtime wants a pointer to change, and changes no input.
  auto* data = const_cast<std::byte*>(view.bytes());
  return Ort::Value::CreateTensor(cpu(), data, view.nbytes(), view.shape().data(),
                                  view.shape().size(), row_of(view.dtype()).onnx);
}

}  // namespace

Graph::Graph(const std::filesystem::path& path, const std::string& content, std::string& init,
             int threads, const std::set<std::string>& inputs, std::vector<std::string> outputs)
    : environment_(environment()),
      session_(open(path, *environment_, content, init, threads)),
      outputs_(std::move(outputs)) {
  if (input_names(session_) != inputs ||
      output_names(session_) != std::set<std::string>(outputs_.begin(), outputs_.end())) {
    throw Error(Error::Kind::bundle, path.string() + " does not fit its manifest",
                "other inputs or outputs", "", "export the bundle again");
  }
}

std::vector<Ort::Value> Graph::run(const Given& given) const {
  std::vector<const char*> inputs, outputs;
  std::vector<Ort::Value> values;
  for (const auto& [name, view] : given) {
    inputs.push_back(name.c_str());
    values.push_back(wrapped(view));
  }
  for (const std::string& name : outputs_) outputs.push_back(name.c_str());
  try {
    return session_.Run(Ort::RunOptions{nullptr}, inputs.data(), values.data(), values.size(),
                        outputs.data(), outputs.size());
  } catch (const Ort::Exception& error) {
    throw Error(Error::Kind::failure, "onnxruntime failed", error.what());
  }
}

View view_of(const Ort::Value& value) {
  const auto info = value.GetTensorTypeAndShapeInfo();
  return {dtype_where(&DTypeRow::onnx, info.GetElementType()), info.GetShape(),
          value.GetTensorRawData()};
}

Ort::Value copy_of(const View& view) {
  const Ort::AllocatorWithDefaultOptions allocator;
  Ort::Value value = Ort::Value::CreateTensor(allocator, view.shape().data(), view.shape().size(),
                                              row_of(view.dtype()).onnx);
  std::memcpy(value.GetTensorMutableRawData(), view.bytes(), view.nbytes());
  return value;
}

}  // namespace edgemeta
