#include <optional>
#include <string>
#include <vector>

#include "edgemeta/classifier.hpp"
#include "ops.hpp"

using edgemeta::Classifier;
using edgemeta::Error;
using edgemeta::Label;
using edgemeta::Tensor;
using edgemeta::Tensors;

namespace {

using Json = nlohmann::json;

Json json_of(const Label& label) {
  return std::visit([](const auto& value) { return Json(value); }, label);
}

Json json_of(const std::vector<Label>& labels) {
  Json list = Json::array();
  for (const Label& label : labels) list.push_back(json_of(label));
  return list;
}

Label label_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number()) return value.get<double>();
  throw Error(Error::Kind::input, "a label is neither text nor number", value.dump());
}

/// What stands under a name; null where nothing does.
Json field(const Json& request, const char* name) {
  return request.contains(name) ? request[name] : Json();
}

edgemeta::ClassifierOptions options_of(const Json& said) {
  edgemeta::ClassifierOptions options;
  if (!said.is_object()) return options;
  if (const Json steps = field(said, "steps"); !steps.is_null()) options.steps = steps;
  if (const Json reject = field(said, "reject"); !reject.is_null()) options.reject = reject;
  if (said.contains("unknown")) options.unknown_label = label_of(said["unknown"]);
  options.lr_scale = said.value("lr_scale", options.lr_scale);
  options.calibrate = said.value("calibrate", options.calibrate);
  options.keep_support = said.value("keep_support", options.keep_support);
  return options;
}

const Tensor& tensor_at(const Tensors& tensors, const char* name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    throw Error(Error::Kind::input, "the episode has no tensor " + std::string(name));
  }
  return found->second;
}

/// The labels of a support set: `y` are places in the names.
std::vector<Label> labels_of(const Tensor& y, const Json& names) {
  std::vector<Label> labels;
  for (std::size_t i = 0; i < y.count(); ++i) {
    const std::int64_t place = y.data<std::int64_t>()[i];
    labels.push_back(label_of(names.at(static_cast<std::size_t>(place))));
  }
  return labels;
}

/// A float64 array (rows, columns) as lists.
Json nested(const Tensor& array) {
  Json rows = Json::array();
  const auto columns = static_cast<std::size_t>(array.shape()[1]);
  const double* value = array.data<double>();
  for (std::int64_t i = 0; i < array.shape()[0]; ++i, value += columns) {
    rows.push_back(std::vector<double>(value, value + columns));
  }
  return rows;
}

}  // namespace

Json classify(const Json& request, int threads) {
  edgemeta::Classifier classifier(
      edgemeta::Runner(request.at("bundle").get<std::string>(), threads),
      options_of(field(request, "options")));
  const Json names = field(request, "names");
  const Tensors episode = edgemeta::read_tensors(request.at("episode").get<std::string>()).tensors;
  if (const Json path = field(request, "load"); !path.is_null()) {
    classifier.load(path.get<std::string>());
  } else {
    classifier.fit(tensor_at(episode, "x"), labels_of(tensor_at(episode, "y"), names));
  }
  if (const Json path = field(request, "more"); !path.is_null()) {
    const Tensors more = edgemeta::read_tensors(path.get<std::string>()).tensors;
    classifier.partial_fit(tensor_at(more, "x"), labels_of(tensor_at(more, "y"), names));
  }
  if (const Json label = field(request, "forget"); !label.is_null()) {
    classifier.forget(label_of(label));
  }
  if (const Json path = field(request, "save"); !path.is_null()) {
    classifier.save(path.get<std::string>());
  }
  const Tensor& query = tensor_at(episode, "query");
  return {{"labels", json_of(classifier.predict(query))},
          {"probabilities", nested(classifier.predict_proba(query))},
          {"familiarity", classifier.familiarity(query)},
          {"temperature", classifier.calibrated() ? Json(classifier.temperature()) : Json()},
          {"classes", json_of(classifier.classes())}};
}
