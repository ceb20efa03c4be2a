#include "bare.hpp"

#include <cstring>
#include <filesystem>

#include "episode.hpp"

using edgemeta::DType;
using edgemeta::Tensor;

namespace {

/// The settings of the library's own sessions.
Ort::Session open(const Ort::Env& environment, const std::filesystem::path& path, int threads) {
  Ort::SessionOptions options;
  options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_ERROR);
  options.SetIntraOpNumThreads(threads);
  options.SetInterOpNumThreads(1);
  options.DisableMemPattern();
  options.AddConfigEntry("session.use_env_allocators", "1");
  options.AddConfigEntry("session.intra_op.allow_spinning", "0");
  return Ort::Session(environment, path.c_str(), options);
}

ONNXTensorElementDataType type_of(const edgemeta::View& view) {
  switch (view.dtype()) {
    case DType::float32:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    case DType::int64:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    case DType::uint8:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
    default:
      throw edgemeta::Error(edgemeta::Error::Kind::input, "--bare has no such dtype",
                            std::string(edgemeta::name_of(view.dtype())),
                            "float32, int64 or uint8");
  }
}

Tensor scalar(std::int64_t value) {
  Tensor made(DType::int64, {});
  std::memcpy(made.bytes(), &value, sizeof(value));
  return made;
}

}  // namespace

Bare::Bare(const edgemeta::Runner& runner, const edgemeta::Learner& learner, const Tensor& one,
           int threads)
    : environment_(ORT_LOGGING_LEVEL_ERROR, "bare"),
      session_(open(environment_, runner.path() / "predict.onnx", threads)),
      state_(learner.state_dict()),
      ways_(scalar(learner.ways().value_or(0))),
      output_(runner.manifest().classification ? "logits" : "output") {
  give("query_x", one);
  for (const auto& [name, tensor] : state_) give(name.c_str(), tensor);
  if (learner.ways() && !runner.manifest().any_ways()) give("ways", ways_);
}

void Bare::give(const char* name, const Tensor& tensor) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const edgemeta::View view = tensor;
  values_.push_back(Ort::Value::CreateTensor(memory, const_cast<std::byte*>(view.bytes()),
                                             view.nbytes(), tensor.shape().data(),
                                             tensor.shape().size(), type_of(view)));
  inputs_.push_back(name);
}

void Bare::run() {
  session_.Run(Ort::RunOptions{nullptr}, inputs_.data(), values_.data(), values_.size(), &output_,
               1);
}
