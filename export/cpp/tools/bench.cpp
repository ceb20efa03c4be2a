// `edgemeta-cpp bench`: how fast a bundle is here.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "arguments.hpp"
#include "bare.hpp"
#include "commands.hpp"
#include "edgemeta/runner.hpp"
#include "episode.hpp"

namespace {

using edgemeta::Runner;
using edgemeta::Tensor;
using Json = nlohmann::json;

constexpr int kWarmUp = 3;
constexpr int kCalls = 100;  // of ONNX Runtime alone, for each repeat: one may take microseconds

/// `samples` of x, taken in turns.
Tensor repeated(const Tensor& x, std::int64_t samples) {
  edgemeta::Shape shape = x.shape();
  const std::int64_t have = shape[0];
  shape[0] = samples;
  Tensor made(x.dtype(), shape);
  const std::size_t size = edgemeta::View(x).nbytes() / static_cast<std::size_t>(have);
  for (std::int64_t i = 0; i < samples; ++i) {
    const std::byte* from = x.bytes() + static_cast<std::size_t>(i % have) * size;
    std::copy(from, from + size, made.bytes() + static_cast<std::size_t>(i) * size);
  }
  return made;
}

/// A support set with `shots` samples per class (regression: in all), of the selftest's samples.
std::pair<Tensor, Tensor> support_set(const Runner& runner, std::int64_t shots) {
  const Episode recorded = read_selftest(runner);
  const std::int64_t ways = runner.manifest().ways.value_or(1);
  Tensor x = repeated(recorded.support_x, shots * ways);
  if (!runner.manifest().classification) return {x, repeated(recorded.support_y, shots)};
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < shots * ways; ++i) labels.push_back(i % ways);
  return {x, Tensor(edgemeta::View(labels, {shots * ways}))};
}

/// A percentile as numpy has it: between the two nearest values.
double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (values[above] - values[below]) * (place - std::floor(place));
}

Json latency(const std::vector<double>& milliseconds) {
  return {{"p50", percentile(milliseconds, 0.5)}, {"p95", percentile(milliseconds, 0.95)}};
}

/// Measures adapting and predicting one sample, taken in turns after a warm-up.
Json measure(const Runner& runner, std::int64_t shots, std::int64_t steps, std::int64_t repeats) {
  const auto [x, y] = support_set(runner, shots);
  const Tensor one = repeated(x, 1);
  edgemeta::AdaptOptions options;
  options.steps = steps;
  options.guard = false;
  std::vector<double> adapting, predicting;
  for (std::int64_t i = 0; i < kWarmUp + repeats; ++i) {
    const Stopwatch adapt;
    const auto learner = runner.adapt(x, y, options);
    const double adapt_ms = adapt.milliseconds();
    const Stopwatch predict;
    learner.predict_logits(one);
    const double predict_ms = predict.milliseconds();
    if (i < kWarmUp) continue;
    adapting.push_back(adapt_ms);
    predicting.push_back(predict_ms);
  }
  return {{"shots", shots},
          {"samples", x.shape()[0]},
          {"steps", steps},
          {"adapt", latency(adapting)},
          {"predict", latency(predicting)}};
}

/// Measures predicting one sample beside ONNX Runtime alone, in turns: what the library adds.
Json measure_bare(const edgemeta::Learner& learner, const Tensor& one, Bare& bare,
                  std::int64_t repeats) {
  std::vector<double> ours, alone;
  for (std::int64_t i = 0; i < repeats * kCalls; ++i) {
    const Stopwatch predict;
    learner.predict_logits(one);
    ours.push_back(predict.milliseconds());
    const Stopwatch run;
    bare.run();
    alone.push_back(run.milliseconds());
  }
  const double ratio = percentile(ours, 0.5) / percentile(alone, 0.5);
  return {{"predict", latency(ours)}, {"bare", latency(alone)}, {"ratio", ratio}};
}

/// The largest resident set so far, in 10^6 bytes; nothing where the system has no word.
std::optional<double> peak_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stod(line.substr(6)) * 1024 / 1e6;
  }
  return std::nullopt;
}

}  // namespace

void bench(const Words& words) {
  const Arguments arguments("bench", words, {"BUNDLE"},
                            {"--shots", "--steps", "--repeats", "--threads"}, {"--bare"});
  const auto threads = arguments.integer("--threads", 1);
  auto shots = arguments.integers("--shots", 1);
  if (shots.empty()) shots = {1, 5};
  const std::int64_t repeats = arguments.integer("--repeats", 2).value_or(50);
  const auto base = peak_mb();
  const Stopwatch loading;
  const Runner runner(arguments.position(0), static_cast<int>(threads.value_or(0)));
  Json cold = {{"load_ms", loading.milliseconds()}};
  const std::int64_t steps =
      arguments.integer("--steps", 0).value_or(runner.manifest().inner_steps);
  const auto [x, y] = support_set(runner, shots.front());
  edgemeta::AdaptOptions options;
  options.steps = steps;
  options.guard = false;
  const Stopwatch adapting;
  const auto learner = runner.adapt(x, y, options);
  cold["adapt_ms"] = adapting.milliseconds();
  const Tensor one = repeated(x, 1);
  const Stopwatch predicting;
  learner.predict_logits(one);
  cold["predict_ms"] = predicting.milliseconds();
  const auto peak = peak_mb();
  cold["peak_mb"] = peak ? Json(*peak) : Json();
  cold["bundle_mb"] = peak && base ? Json(*peak - *base) : Json();
  Json speeds = Json::array();
  for (const std::int64_t n : shots) speeds.push_back(measure(runner, n, steps, repeats));
  Json beside;
  if (arguments.flag("--bare")) {
    Bare bare(runner, learner, one, static_cast<int>(threads.value_or(0)));
    beside = measure_bare(learner, one, bare, repeats);
  }
  if (arguments.json()) {
    std::cout << Json{{"bundle", runner.fingerprint()},
                      {"threads", threads ? Json(*threads) : Json()},
                      {"repeats", repeats},
                      {"latency_ms", speeds},
                      {"bare", beside},
                      {"cold_start", cold}}
                     .dump()
              << '\n';
    return;
  }
  std::cout << std::fixed << std::setprecision(3);
  for (const Json& speed : speeds) {
    std::cout << speed["samples"] << " samples, " << speed["steps"] << " steps: adapt "
              << speed["adapt"]["p50"].get<double>() << " ms (p95 "
              << speed["adapt"]["p95"].get<double>() << "), predict one "
              << speed["predict"]["p50"].get<double>() << " ms (p95 "
              << speed["predict"]["p95"].get<double>() << ")\n";
  }
  std::cout << std::setprecision(1) << "first load " << cold["load_ms"].get<double>()
            << " ms, first adapt " << cold["adapt_ms"].get<double>() << " ms, first predict "
            << cold["predict_ms"].get<double>() << " ms\n";
  if (peak) std::cout << "peak memory " << *peak << " MB\n";
  if (!beside.is_null()) {
    std::cout << std::setprecision(4) << "predict one " << beside["predict"]["p50"].get<double>()
              << " ms, ONNX Runtime alone " << beside["bare"]["p50"].get<double>()
              << " ms: " << std::setprecision(2) << beside["ratio"].get<double>()
              << " times as long\n";
  }
}
