#include "episode.hpp"

#include <utility>

using edgemeta::Error;
using edgemeta::Tensor;
using edgemeta::Tensors;
using edgemeta::View;

namespace {

/// Moves a tensor out of those of a file.
Tensor taken(Tensors& tensors, const char* name, const std::filesystem::path& path) {
  auto node = tensors.extract(name);
  if (node.empty()) {
    throw Error(Error::Kind::input, path.string() + " is no recorded episode",
                "no tensor " + std::string(name));
  }
  return std::move(node.mapped());
}

template <class T>
T scalar(const Tensor& tensor, const char* name) {
  if (tensor.count() != 1) {
    throw Error(Error::Kind::input, std::string(name) + " is no scalar",
                edgemeta::text_of(tensor.shape()));
  }
  return *tensor.data<T>();
}

}  // namespace

Episode read_selftest(const edgemeta::Runner& runner) {
  return read_episode(runner, runner.path() / "selftest.safetensors");
}

Episode read_episode(const edgemeta::Runner& runner, const std::filesystem::path& path) {
  const bool is_own =
      path.lexically_normal() == (runner.path() / "selftest.safetensors").lexically_normal();
  Tensors tensors = is_own ? runner.selftest() : edgemeta::read_tensors(path).tensors;
  Tensor x = taken(tensors, "support_x", path);
  Tensor y = taken(tensors, "support_y", path);
  // Without queries the support samples are predicted.
  Tensor query = tensors.count("query_x") > 0 ? taken(tensors, "query_x", path) : x;
  const auto steps = scalar<std::int64_t>(taken(tensors, "steps", path), "steps");
  const auto lr_scale = scalar<float>(taken(tensors, "lr_scale", path), "lr_scale");
  return {std::move(x), std::move(y), std::move(query), steps, lr_scale, std::move(tensors)};
}

std::string prediction_name(const edgemeta::Manifest& manifest) {
  return manifest.classification ? "logits" : "output";
}

Tensors results_of(const edgemeta::Runner& runner, const edgemeta::Learner& learner,
                   const Tensor& prediction) {
  Tensors results;
  for (auto& [name, tensor] : learner.state_dict()) results.emplace(name + ".next", tensor);
  const auto steps = static_cast<std::int64_t>(learner.losses().size());
  results.emplace("losses", Tensor(View(learner.losses(), {steps})));
  results.emplace(prediction_name(runner.manifest()), prediction);
  return results;
}
