// `edgemeta-cpp adapt` and `predict`: what a device does with a bundle.

#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "arguments.hpp"
#include "commands.hpp"
#include "edgemeta/runner.hpp"
#include "options.hpp"

namespace {

using edgemeta::Error;
using edgemeta::Label;
using edgemeta::Tensor;
using edgemeta::Tensors;
using Json = nlohmann::json;

const Tensor& tensor_at(const Tensors& tensors, const char* name, const std::string& path) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    throw Error(Error::Kind::input, path + " has no tensor " + name, "",
                "x, the samples, and for adapting y, the labels or targets");
  }
  return found->second;
}

Json json_of(const Label& label) {
  return std::visit([](const auto& value) { return Json(value); }, label);
}

/// What each class is called: by its number where it has no name.
std::vector<std::string> class_names(const std::vector<Label>& labels, std::int64_t ways) {
  std::vector<std::string> names;
  for (std::int64_t k = 0; k < ways; ++k) {
    const auto index = static_cast<std::size_t>(k);
    const Json label = index < labels.size() ? json_of(labels[index]) : Json(k);
    names.push_back(label.is_string() ? label.get<std::string>() : label.dump());
  }
  return names;
}

/// A float32 array as nested lists.
Json nested(const edgemeta::View& array, std::size_t axis = 0, std::size_t at = 0) {
  const edgemeta::Shape& shape = array.shape();
  if (axis == shape.size()) return array.data<float>()[at];
  Json list = Json::array();
  const auto size = static_cast<std::size_t>(shape[axis]);
  for (std::size_t i = 0; i < size; ++i) list.push_back(nested(array, axis + 1, at * size + i));
  return list;
}

void check_truth(const Tensor& y, const Tensor& predicted) {
  if (y.shape() != predicted.shape() || y.dtype() != predicted.dtype()) {
    throw Error(Error::Kind::input, "y does not fit the predictions",
                std::string(edgemeta::name_of(y.dtype())) + " " + edgemeta::text_of(y.shape()),
                std::string(edgemeta::name_of(predicted.dtype())) + " " +
                    edgemeta::text_of(predicted.shape()),
                "correct y, or leave it out");
  }
}

/// The mean over all numbers of what `score` makes of a prediction and the truth.
template <class T, class Score>
double mean_score(const Tensor& predicted, const Tensor& y, Score score) {
  check_truth(y, predicted);
  const T* const ours = predicted.data<T>();
  const T* const truth = y.data<T>();
  double sum = 0;
  for (std::size_t i = 0; i < y.count(); ++i) sum += score(ours[i], truth[i]);
  return sum / static_cast<double>(y.count());
}

Json classes(const edgemeta::Learner& learner, const Tensors& input, const Tensor& x) {
  const Tensor predicted = learner.predict(x);
  const std::vector<std::string> names = class_names(learner.labels(), *learner.ways());
  Json record = {{"predictions", Json::array()}, {"labels", Json::array()}, {"classes", names}};
  const std::int64_t* const numbers = predicted.data<std::int64_t>();
  for (std::size_t i = 0; i < predicted.count(); ++i) {
    const std::int64_t k = numbers[i];
    record["predictions"].push_back(k);
    record["labels"].push_back(names[static_cast<std::size_t>(k)]);
  }
  record["probabilities"] = nested(learner.predict_proba(x));
  if (const auto y = input.find("y"); y != input.end()) {
    record["accuracy"] = mean_score<std::int64_t>(
        predicted, y->second, [](std::int64_t a, std::int64_t b) { return a == b ? 1.0 : 0.0; });
  }
  return record;
}

Json outputs(const edgemeta::Learner& learner, const Tensors& input, const Tensor& x) {
  const Tensor predicted = learner.predict(x);
  Json record = {{"predictions", nested(predicted)}};
  if (const auto y = input.find("y"); y != input.end()) {
    record["mse"] = mean_score<float>(predicted, y->second,
                                      [](double a, double b) { return (a - b) * (a - b); });
  }
  return record;
}

}  // namespace

void adapt(const Words& words) {
  const Arguments arguments(
      "adapt", words, {"BUNDLE", "SUPPORT"},
      {"--out", "--steps", "--lr-scale", "--state", "--ways", "--threads", "--key"});
  const auto out = arguments.text("--out");
  if (!out) {
    throw Error(Error::Kind::input, "missing option: --out", "", "",
                "see edgemeta-cpp adapt --help");
  }
  const edgemeta::Runner runner = open_bundle(arguments);
  const Tensors support = edgemeta::read_tensors(arguments.position(1)).tensors;
  const Tensor& x = tensor_at(support, "x", arguments.position(1));
  const Tensor& y = tensor_at(support, "y", arguments.position(1));
  edgemeta::AdaptOptions options;
  options.steps = arguments.integer("--steps", 0);
  options.lr_scale = arguments.number("--lr-scale").value_or(1);
  options.ways = arguments.integer("--ways", 1);
  std::optional<edgemeta::Learner> start;
  if (const auto state = arguments.text("--state")) {
    start = runner.load(*state);
    options.state = &*start;
  }
  const Stopwatch stopwatch;
  const edgemeta::Learner learner = runner.adapt(x, y, options);
  const double milliseconds = stopwatch.milliseconds();
  learner.save(*out);
  const auto& losses = learner.losses();
  if (arguments.json()) {
    Json record = {{"state", *out},
                   {"samples", x.shape()[0]},
                   {"steps", losses.size() - 1},
                   {"losses", losses},
                   {"milliseconds", milliseconds}};
    for (const Label& label : learner.labels()) record["classes"].push_back(json_of(label));
    std::cout << record.dump() << '\n';
    return;
  }
  std::cout << std::fixed << std::setprecision(4) << "support loss " << losses.front() << " -> "
            << losses.back() << '\n'
            << *out << ": " << x.shape()[0] << " samples, " << losses.size() - 1 << " steps in "
            << std::setprecision(1) << milliseconds << " ms\n";
}

void predict(const Words& words) {
  const Arguments arguments("predict", words, {"BUNDLE", "INPUT"},
                            {"--state", "--threads", "--key"});
  const edgemeta::Runner runner = open_bundle(arguments);
  const Tensors input = edgemeta::read_tensors(arguments.position(1)).tensors;
  const Tensor& x = tensor_at(input, "x", arguments.position(1));
  const auto state = arguments.text("--state");
  const edgemeta::Learner learner = state ? runner.load(*state) : runner.init();
  const bool classification = runner.manifest().classification;
  const Json record = classification ? classes(learner, input, x) : outputs(learner, input, x);
  if (arguments.json()) {
    std::cout << record.dump() << '\n';
  } else {
    for (const Json& each : record[classification ? "labels" : "predictions"]) {
      std::cout << (each.is_string() ? each.get<std::string>() : each.dump()) << '\n';
    }
    for (const char* metric : {"accuracy", "mse"}) {
      if (record.contains(metric)) std::cout << metric << ' ' << record[metric] << '\n';
    }
  }
  if (!state && runner.manifest().labels.empty())
    std::cerr << "note: no --state given, the init predicts without adaptation\n";
}
