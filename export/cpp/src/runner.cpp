#include "edgemeta/runner.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <set>
#include <sstream>
#include <utility>

#include "bundle.hpp"
#include "inputs.hpp"
#include "sessions.hpp"
#include "state.hpp"

namespace edgemeta {
namespace {

constexpr double kRise = 0.5;    // the share by which the support loss may end above its start
constexpr double kSlack = 0.01;  // and what it may rise by besides, since it may start near zero

std::set<std::string> adapt_inputs(const Manifest& manifest) {
  std::set<std::string> names = {kSupportX, kSupportY, kSteps, kLrScale};
  for (const StateTensor& tensor : manifest.state) names.insert(tensor.name);
  if (manifest.ways) names.insert(kWays);
  return names;
}

std::set<std::string> predict_inputs(const Manifest& manifest) {
  std::set<std::string> names = {kQueryX};
  for (const StateTensor& tensor : manifest.state) names.insert(tensor.name);
  if (manifest.ways && !manifest.any_ways()) names.insert(kWays);
  return names;
}

std::vector<std::string> adapt_outputs(const Manifest& manifest) {
  std::vector<std::string> names;
  for (const StateTensor& tensor : manifest.state) names.push_back(tensor.name + ".next");
  names.emplace_back(kLosses);
  return names;
}

/// The first `columns` of (rows, width) logits.
Tensor first_columns(const View& logits, std::int64_t columns) {
  const std::int64_t rows = logits.shape()[0], width = logits.shape()[1];
  if (width == columns) return Tensor(logits);
  Tensor found(DType::float32, {rows, columns});
  const auto size = static_cast<std::size_t>(columns) * sizeof(float);
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::byte* from = logits.bytes() + static_cast<std::size_t>(row * width) * sizeof(float);
    std::copy(from, from + size, found.bytes() + static_cast<std::size_t>(row) * size);
  }
  return found;
}

std::string text(double value) {
  std::ostringstream written;
  written << std::setprecision(4) << value;
  return written.str();
}

[[noreturn]] void refuse(const std::string& what, const std::vector<float>& losses,
                         const std::string& expected = "") {
  throw Error(Error::Kind::adaptation, "adaptation diverged: " + what,
              text(losses.front()) + " -> " + text(losses.back()) + " in " +
                  std::to_string(losses.size() - 1) + " steps",
              expected,
              "nothing was changed; try a smaller lr_scale or fewer steps, or check the labels");
}

/// 1 for labels, and the mean square of targets: what a loss is measured against.
double unit_of(const View& y) {
  if (y.dtype() != DType::float32) return 1;
  const float* values = y.data<float>();
  double sum = 0;
  for (std::size_t i = 0; i < y.count(); ++i) sum += static_cast<double>(values[i]) * values[i];
  return sum / static_cast<double>(y.count());
}

/// Throws Error (adaptation): an adaptation of at least one step has diverged.
void check_progress(const std::vector<float>& losses, const std::vector<Ort::Value>& state,
                    const View& y) {
  if (!std::isfinite(losses.back())) refuse("the support loss is not finite", losses);
  for (const Ort::Value& value : state) {
    if (!is_finite(view_of(value))) refuse("the state is not finite", losses);
  }
  const double limit = losses.front() * (1 + kRise) + kSlack * unit_of(y);
  if (losses.back() > limit) refuse("the support loss rose", losses, "at most " + text(limit));
}

}  // namespace

/// A loaded bundle, which runners and learners share.
struct Runner::Core {
  Core(const std::filesystem::path& directory, int threads, LoadedBundle bundle)
      : path(directory),
        manifest(std::move(bundle.manifest)),
        fingerprint(std::move(bundle.fingerprint)),
        init(std::move(bundle.init)),
        adapt(path / "adapt.onnx", bundle.adapt, init, threads, adapt_inputs(manifest),
              adapt_outputs(manifest)),
        predict(path / "predict.onnx", bundle.predict, init, threads, predict_inputs(manifest),
                {manifest.classification ? "logits" : "output"}) {}

  std::filesystem::path path;
  Manifest manifest;
  std::string fingerprint;
  std::string init;  // sessions may use it where it is
  Graph adapt, predict;
};

struct Learner::State {
  std::shared_ptr<const Runner::Core> core;
  std::vector<Ort::Value> values;  // as the manifest lists them; none: the init, which the graphs
                                   // hold themselves
  std::vector<float> losses;
  std::optional<std::int64_t> ways;
  std::vector<Label> labels;

  /// Adds the tensors of the state to the inputs of a graph.
  void give(Given& given) const {
    for (std::size_t i = 0; i < values.size(); ++i) {
      given.emplace_back(core->manifest.state[i].name, view_of(values[i]));
    }
  }

  /// Adapts to a checked support set.
  static std::shared_ptr<State> adapted(const std::shared_ptr<const Runner::Core>& core,
                                        const View& x, const View& y, std::int64_t steps,
                                        float lr_scale, const State* start,
                                        std::optional<std::int64_t> ways) {
    Given given = {{kSupportX, x},
                   {kSupportY, y},
                   {kSteps, View(&steps, {})},
                   {kLrScale, View(&lr_scale, {})}};
    if (ways) given.emplace_back(kWays, View(&*ways, {}));
    if (start != nullptr) start->give(given);
    auto made = std::make_shared<State>(State{core, core->adapt.run(given), {}, ways, {}});
    if (start != nullptr) made->labels = start->labels;
    const View losses = view_of(made->values.back());
    made->losses.assign(losses.data<float>(), losses.data<float>() + losses.count());
    made->values.pop_back();
    for (std::size_t i = 0; i < made->values.size(); ++i) {
      if (core->manifest.state[i].per_class) made->ways = view_of(made->values[i]).shape()[0];
    }
    return made;
  }
};

Runner::Runner(const std::filesystem::path& bundle, int threads) {
  if (threads < 0) {
    throw Error(Error::Kind::input, "threads must not be negative", std::to_string(threads));
  }
  core_ = std::make_shared<const Core>(bundle, threads, load_bundle(bundle));
}

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
  return Learner(std::make_shared<const Learner::State>(Learner::State{core_, {}, {}, ways, {}}));
}

Learner Runner::adapt(const View& x, const View& y, const AdaptOptions& options) const {
  const Manifest& manifest = core_->manifest;
  const Learner::State* start = options.state == nullptr ? nullptr : options.state->state_.get();
  if (start != nullptr && start->core->fingerprint != core_->fingerprint) {
    throw Error(Error::Kind::input, "state is a learner of another bundle",
                start->core->path.string(), core_->path.string(),
                "adapt this bundle to the support set again");
  }
  const auto known = start == nullptr ? std::nullopt : start->ways;
  std::optional<std::int64_t> ways;
  if (options.ways) {
    const std::int64_t least =
        manifest.any_ways() ? std::max<std::int64_t>(known.value_or(2), 2) : 2;
    ways = check_ways(*options.ways, manifest, least);
  } else if (!manifest.any_ways()) {  // a shared head takes those of the state and the labels
    ways = known ? known : manifest.ways;
  }
  check_support(x, y, manifest, ways ? ways : manifest.most_ways());
  const std::int64_t steps = check_steps(options.steps.value_or(manifest.inner_steps));
  auto made =
      Learner::State::adapted(core_, x, y, steps, check_lr_scale(options.lr_scale), start, ways);
  if (options.guard && steps > 0) check_progress(made->losses, made->values, y);
  return Learner(std::move(made));
}

Learner Runner::load(const std::filesystem::path& path) const {
  const StateFile file = read_state(path, core_->manifest, core_->fingerprint);
  std::vector<Ort::Value> values;
  for (const StateTensor& tensor : core_->manifest.state) {
    values.push_back(copy_of(file.tensors.at(tensor.name)));
  }
  return Learner(std::make_shared<const Learner::State>(
      Learner::State{core_, std::move(values), {}, file.ways, file.labels}));
}

Learner::Learner(std::shared_ptr<const State> state) : state_(std::move(state)) {}

const std::vector<float>& Learner::losses() const {
  return state_->losses;
}

std::optional<std::int64_t> Learner::ways() const {
  return state_->ways;
}

const std::vector<Label>& Learner::labels() const {
  return state_->labels;
}

Tensor Learner::predict_logits(const View& x) const {
  const Manifest& manifest = state_->core->manifest;
  check_samples(kQueryX, x, manifest.input);
  Given given = {{kQueryX, x}};
  state_->give(given);
  const bool fixed_head = manifest.ways && !manifest.any_ways();
  if (fixed_head) given.emplace_back(kWays, View(&*state_->ways, {}));
  const auto outputs = state_->core->predict.run(given);
  const View output = view_of(outputs.front());
  // The classes of a fixed head that the task does not have are left out.
  return fixed_head ? first_columns(output, *state_->ways) : Tensor(output);
}

Tensor Learner::predict(const View& x) const {
  const Tensor output = predict_logits(x);
  if (!state_->core->manifest.classification) return output;
  const std::int64_t rows = output.shape()[0], ways = output.shape()[1];
  std::vector<std::int64_t> labels;
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* first = output.data<float>() + row * ways;
    labels.push_back(std::max_element(first, first + ways) - first);
  }
  return Tensor(View(labels, {rows}));
}

Tensor Learner::predict_proba(const View& x) const {
  if (!state_->core->manifest.classification) {
    throw Error(Error::Kind::input, "predict_proba is for classification", "", "", "use predict");
  }
  const Tensor logits = predict_logits(x);
  const std::int64_t rows = logits.shape()[0], ways = logits.shape()[1];
  std::vector<float> found(logits.data<float>(), logits.data<float>() + logits.count());
  for (std::int64_t row = 0; row < rows; ++row) {
    float* const first = found.data() + row * ways;
    float* const end = first + ways;
    const float largest = *std::max_element(first, end);  // so that no exponential overflows
    float sum = 0;
    for (float* value = first; value != end; ++value) sum += * value = std::exp(*value - largest);
    for (float* value = first; value != end; ++value) *value /= sum;
  }
  return Tensor(View(found, logits.shape()));
}

Tensors Learner::state_dict() const {
  const Manifest& manifest = state_->core->manifest;
  if (state_->values.empty()) {
    // No steps hand back the init, whatever the support set is.
    Shape x = {1}, y = {1};
    x.insert(x.end(), manifest.input.shape.begin(), manifest.input.shape.end());
    y.insert(y.end(), manifest.target.shape.begin(), manifest.target.shape.end());
    return Learner(State::adapted(state_->core, Tensor(manifest.input.dtype, x),
                                  Tensor(manifest.target.dtype, y), 0, 1, nullptr, std::nullopt))
        .state_dict();
  }
  Tensors tensors;
  for (std::size_t i = 0; i < state_->values.size(); ++i) {
    tensors.emplace(manifest.state[i].name, Tensor(view_of(state_->values[i])));
  }
  return tensors;
}

void Learner::save(const std::filesystem::path& path, const std::vector<Label>& labels) const {
  write_state(path, {state_dict(), state_->ways, labels.empty() ? state_->labels : labels},
              state_->core->fingerprint);
}

}  // namespace edgemeta
