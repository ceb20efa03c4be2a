#include <algorithm>
#include <utility>

#include "bake.hpp"
#include "inputs.hpp"
#include "invalid.hpp"
#include "model.hpp"

namespace edgemeta {
namespace {

/// The first `columns` of (rows, width) logits.
Tensor first_columns(const View& logits, std::int64_t columns) {
  const std::int64_t rows = logits.shape()[0], width = logits.shape()[1];
  if (width == columns) return Tensor(logits);
  Tensor found(DType::float32, {rows, columns});
  const auto size = static_cast<std::size_t>(columns) * sizeof(float);
  const auto step = static_cast<std::size_t>(width) * sizeof(float);
  const std::byte* from = logits.bytes();
  std::byte* to = found.bytes();
  for (std::int64_t row = 0; row < rows; ++row, from += step, to += size) {
    std::copy(from, from + size, to);
  }
  return found;
}

}  // namespace

Learner::State::State(std::shared_ptr<const Runner::Core> of_core,
                      std::vector<Ort::Value> of_values, std::optional<std::int64_t> of_ways)
    : core(std::move(of_core)),
      values(std::move(of_values)),
      ways(of_ways),
      has_fixed_head(core->has_fixed_head()),
      ways_value_(has_fixed_head ? wrapped(View(&*ways, {})) : Ort::Value(nullptr)) {
  predict_.push_back(nullptr);
  if (has_fixed_head) predict_.push_back(ways_value_);
  predict_.insert(predict_.end(), values.begin(), values.end());
}

std::shared_ptr<Learner::State> Learner::State::adapted(
    const std::shared_ptr<const Runner::Core>& core, const View& x, const View& y,
    std::int64_t steps, float lr_scale, const State* start, std::optional<std::int64_t> ways) {
  const Ort::Value given[] = {wrapped(x), wrapped(y), wrapped(View(&steps, {})),
                              wrapped(View(&lr_scale, {})),
                              ways ? wrapped(View(&*ways, {})) : Ort::Value(nullptr)};
  std::vector<const OrtValue*> inputs(std::begin(given), std::end(given));
  if (!core->manifest.classification) inputs.pop_back();
  if (start != nullptr) inputs.insert(inputs.end(), start->values.begin(), start->values.end());
  std::vector<Ort::Value> values = core->adapt.run(inputs);
  const View seen = view_of(values.back());
  std::vector<float> losses(seen.data<float>(), seen.data<float>() + seen.count());
  values.pop_back();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (core->manifest.state[i].per_class) ways = view_of(values[i]).shape()[0];
  }
  auto made = std::make_shared<State>(core, std::move(values), ways);
  made->losses = std::move(losses);
  made->name(start != nullptr ? start->labels : core->manifest.labels);
  return made;
}

std::shared_ptr<const Learner::State> Learner::State::with_values(
    const std::shared_ptr<const State>& state) {
  if (!state->values.empty()) return state;
  // No steps hand back the init, whatever the support set is.
  const Manifest& manifest = state->core->manifest;
  const Tensor x(manifest.input.dtype, batch_of(1, manifest.input.shape));  // of zeros
  const Tensor y(manifest.target.dtype, batch_of(1, manifest.target.shape));
  const auto ways = state->has_fixed_head ? state->ways : std::nullopt;
  return adapted(state->core, x, y, 0, 1, nullptr, ways);
}

void Learner::State::name(std::vector<Label> names) {
  labels = std::move(names);
  // A task with fewer classes than the head has the first of them.
  if (ways) labels.resize(std::min(labels.size(), static_cast<std::size_t>(*ways)));
}

std::vector<View> Learner::State::views() const {
  std::vector<View> found;
  for (const Ort::Value& value : values) found.push_back(view_of(value));
  return found;
}

std::shared_ptr<const Learner::State> Learner::State::frozen_of(
    const std::shared_ptr<const State>& state) {
  if (state->frozen != nullptr) return state;
  const auto full = with_values(state);
  const Runner::Core& core = *full->core;
  std::map<std::string, View> baked;
  const std::vector<View> views = full->views();
  for (std::size_t i = 0; i < views.size(); ++i) {
    baked.emplace(core.manifest.state[i].name, views[i]);
  }
  if (full->has_fixed_head) baked.emplace(kWays, View(&*full->ways, {}));
  const auto path = core.path / kPredictFile;
  std::string content, none;
  try {
    content = bake(core.predict_content, core.init, core.predict_tensors, baked);
  } catch (const Invalid& error) {
    throw Error(Error::Kind::bundle, path.string() + " cannot be frozen", error.what());
  }
  std::vector<Ort::Value> values;
  for (const View& view : views) values.push_back(copy_of(view));
  auto made = std::make_shared<State>(full->core, std::move(values), full->ways);
  made->losses = state->losses;
  made->labels = state->labels;
  made->frozen = std::make_shared<const Graph>(path, content, none, core.threads,
                                               std::vector<std::string>{kQueryX},
                                               std::vector<std::string>{core.prediction()});
  made->predict_.assign(1, nullptr);  // the samples alone
  return made;
}

Learner Access::learner_of(const Runner& runner, const StateFile& file) {
  std::vector<Ort::Value> values;
  for (const StateTensor& tensor : runner.manifest().state) {
    values.push_back(copy_of(file.tensors.at(tensor.name)));
  }
  auto state = std::make_shared<Learner::State>(runner.core_, std::move(values), file.ways);
  state->name(file.labels.value_or(runner.manifest().labels));
  return Learner(std::move(state));
}

Access::Held Access::state_of(const Learner& learner) {
  const auto state = Learner::State::with_values(learner.state_);
  const std::vector<StateTensor>& tensors = state->core->manifest.state;
  StateViews views;
  views.ways = learner.ways();
  if (!learner.labels().empty()) views.labels = learner.labels();
  const std::vector<View> values = state->views();
  for (std::size_t i = 0; i < values.size(); ++i) {
    views.tensors.emplace(tensors[i].name, values[i]);
  }
  return {Learner(state), std::move(views)};
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
  const State& state = *state_;
  check_samples(kQueryX, x, state.core->manifest.input);
  const Ort::Value samples = wrapped(x);
  std::vector<const OrtValue*> inputs = state.predict_;
  inputs.front() = samples;
  const Graph& graph = state.frozen == nullptr ? state.core->predict : *state.frozen;
  const Ort::Value made = graph.run_one(inputs);
  const View output = view_of(made);
  // The classes of a fixed head that the task does not have are left out.
  return state.has_fixed_head ? first_columns(output, *state.ways) : Tensor(output);
}

Tensor Learner::predict(const View& x) const {
  Tensor output = predict_logits(x);
  return state_->core->manifest.classification ? labels_of(output) : output;
}

Tensor Learner::predict_proba(const View& x) const {
  if (!state_->core->manifest.classification) {
    throw Error(Error::Kind::input, "predict_proba is for classification", "", "", "use predict");
  }
  return softmax(predict_logits(x));
}

Learner Learner::freeze() const {
  return Learner(State::frozen_of(state_));
}

bool Learner::frozen() const {
  return state_->frozen != nullptr;
}

Tensors Learner::state_dict() const {
  const Access::Held held = Access::state_of(*this);
  Tensors tensors;
  for (const auto& [name, view] : held.views.tensors) tensors.emplace(name, Tensor(view));
  return tensors;
}

void Learner::save(const std::filesystem::path& path, const std::vector<Label>& labels) const {
  Access::Held held = Access::state_of(*this);
  if (!labels.empty()) held.views.labels = labels;
  write_state(path, held.views, state_->core->fingerprint);
}

std::vector<std::byte> Learner::serialize(const std::vector<Label>& labels) const {
  Access::Held held = Access::state_of(*this);
  if (!labels.empty()) held.views.labels = labels;
  return format_state(held.views, state_->core->fingerprint);
}

}  // namespace edgemeta
