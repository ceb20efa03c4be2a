#include "edgemeta/runner.hpp"

#include <algorithm>
#include <utility>

#include "guard.hpp"
#include "inputs.hpp"
#include "invalid.hpp"
#include "model.hpp"
#include "tensor_file.hpp"

namespace edgemeta {
namespace {

/// Inputs of `adapt.onnx`, in the order in which `Learner::State::adapted` gives them.
std::vector<std::string> adapt_inputs(const Manifest& manifest) {
  std::vector<std::string> names = {kSupportX, kSupportY, kSteps, kLrScale};
  if (manifest.ways) names.emplace_back(kWays);
  for (const StateTensor& tensor : manifest.state) names.push_back(tensor.name);
  return names;
}

/// Inputs of `predict.onnx`, in the order in which `Learner::State` gives them.
std::vector<std::string> predict_inputs(const Manifest& manifest) {
  std::vector<std::string> names = {kQueryX};
  if (manifest.ways && !manifest.any_ways()) names.emplace_back(kWays);
  for (const StateTensor& tensor : manifest.state) names.push_back(tensor.name);
  return names;
}

std::vector<std::string> adapt_outputs(const Manifest& manifest) {
  std::vector<std::string> names;
  for (const StateTensor& tensor : manifest.state) names.push_back(tensor.name + ".next");
  names.emplace_back(kLosses);
  return names;
}

int check_threads(int threads) {
  if (threads >= 0) return threads;
  throw Error(Error::Kind::input, "threads must not be negative", std::to_string(threads));
}

/// How many classes a task has; nothing for regression, or to leave it to the labels.
std::optional<std::int64_t> ways_of(const AdaptOptions& options, const Manifest& manifest) {
  const auto known = options.state == nullptr ? std::nullopt : options.state->ways();
  if (!options.ways) {
    if (manifest.any_ways()) return std::nullopt;
    return known ? known : manifest.ways;
  }
  const bool grows = manifest.any_ways() && known;
  return check_ways(*options.ways, manifest, grows ? std::max<std::int64_t>(*known, 2) : 2);
}

}  // namespace

Runner::Core::Core(std::filesystem::path directory, int of_threads, LoadedBundle bundle)
    : path(std::move(directory)),
      manifest(std::move(bundle.manifest)),
      selftest(std::move(bundle.selftest)),
      fingerprint(std::move(bundle.fingerprint)),
      init(std::move(bundle.init)),
      threads(of_threads),
      predict_content(std::move(bundle.predict)),
      predict_tensors(std::move(bundle.predict_tensors)),
      adapt(path / kAdaptFile, bundle.adapt, init, threads, adapt_inputs(manifest),
            adapt_outputs(manifest)),
      predict(path / kPredictFile, predict_content, init, threads, predict_inputs(manifest),
              {prediction()}) {}

Runner::Runner(const std::filesystem::path& bundle, int threads)
    : Runner(bundle, RunnerOptions{threads}) {}

Runner::Runner(const std::filesystem::path& bundle, const RunnerOptions& options)
    : core_(std::make_shared<const Core>(bundle, check_threads(options.threads),
                                         load_bundle(bundle, options.key))) {}

Runner::Runner(const BundleFiles& files, const RunnerOptions& options)
    : core_(std::make_shared<const Core>(std::filesystem::path(), check_threads(options.threads),
                                         load_bundle(files, options.key))) {}

const std::filesystem::path& Runner::path() const {
  return core_->path;
}

const Manifest& Runner::manifest() const {
  return core_->manifest;
}

const std::string& Runner::fingerprint() const {
  return core_->fingerprint;
}

Learner Runner::init() const {
  const Manifest& manifest = core_->manifest;
  const auto ways = manifest.any_ways() ? std::optional<std::int64_t>(1) : manifest.ways;
  auto state = std::make_shared<Learner::State>(core_, std::vector<Ort::Value>(), ways);
  state->name(manifest.labels);
  return Learner(std::move(state));
}

Learner Runner::adapt(const View& x, const View& y, const AdaptOptions& options) const {
  const Manifest& manifest = core_->manifest;
  const Learner before = options.state == nullptr ? init() : *options.state;
  const Learner::State& start = *before.state_;
  if (start.core->fingerprint != core_->fingerprint) {
    throw Error(Error::Kind::input, "state is a learner of another bundle",
                start.core->path.string(), core_->path.string(),
                "adapt this bundle to the support set again");
  }
  if (options.holdout_x.has_value() != options.holdout_y.has_value()) {
    throw Error(Error::Kind::input, "holdout_x and holdout_y belong together", "one of them");
  }
  const auto ways = ways_of(options, manifest);
  check_support(kSupportX, x, kSupportY, y, manifest, ways ? ways : manifest.most_ways());
  const std::int64_t steps = check_steps(options.steps.value_or(manifest.inner_steps));
  const float lr_scale = check_lr_scale(options.lr_scale);
  const Learner after(Learner::State::adapted(core_, x, y, steps, lr_scale, &start, ways));
  const std::vector<float>& losses = after.losses();
  if (options.guard && steps > 0) {
    check_progress(losses, after.state_->views(), manifest.classification ? nullptr : &y);
  }
  if (!options.holdout_x) return after;
  const View &held_x = *options.holdout_x, &held_y = *options.holdout_y;
  check_support("holdout_x", held_x, "holdout_y", held_y, manifest, after.ways());
  if (manifest.classification) {
    check_right(before.predict(held_x), after.predict(held_x), held_y, losses);
    return after;
  }
  const auto loss_of = [&](const Learner& learner) {
    return Learner::State::adapted(core_, held_x, held_y, 0, 1, learner.state_.get(), std::nullopt)
        ->losses.front();
  };
  check_loss(loss_of(before), loss_of(after), losses);
  return after;
}

Tensors Runner::selftest() const {
  const std::filesystem::path file = core_->path / kSelftestFile;
  if (core_->path.empty()) {
    throw Error(Error::Kind::input, "a bundle from memory has no selftest", "", "",
                "pass the path of a bundle, or replay an episode of your own");
  }
  try {
    return parse_tensors(read_file(file, core_->selftest)).tensors;
  } catch (const Invalid& error) {
    throw Error(Error::Kind::bundle, file.string() + " is no readable safetensors file",
                error.what(), "", "export the bundle again");
  }
}

Learner Runner::load(const std::filesystem::path& path) const {
  return Access::learner_of(*this, read_state(path, core_->manifest, core_->fingerprint));
}

Learner Runner::load(Bytes content) const {
  return Access::learner_of(
      *this, parse_state(content.text(), "the state", core_->manifest, core_->fingerprint));
}

}  // namespace edgemeta
