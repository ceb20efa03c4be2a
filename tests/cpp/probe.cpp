// Calls what the command line does not, and prints what came of it as JSON.
// tests/cpp/test_library.py runs it with a bundle and a safetensors file: x, y, query, and what is
// held out.

#include <cmath>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "edgemeta/runner.hpp"

namespace {

using edgemeta::BundleFiles;
using edgemeta::Bytes;
using edgemeta::Label;
using edgemeta::Learner;
using edgemeta::Runner;
using edgemeta::Shape;
using edgemeta::Tensor;
using edgemeta::Tensors;
using edgemeta::View;
using Json = nlohmann::json;

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool same(const Tensor& one, const Tensor& other) {
  const View a = one, b = other;
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::equal(a.bytes(), a.bytes() + a.nbytes(), b.bytes());
}

/// What a call threw: its kind, its text, its losses; null if nothing.
Json thrown_by(const std::function<void()>& call) {
  try {
    call();
    return nullptr;
  } catch (const edgemeta::Error& error) {
    constexpr const char* kKinds[] = {"input", "bundle", "adaptation", "parity", "failure"};
    return {kKinds[static_cast<int>(error.kind())], error.what(), error.losses()};
  }
}

/// The files of a bundle, each of which can be exchanged.
struct Files {
  explicit Files(const std::string& folder)
      : manifest(content_of(folder + "/manifest.json")),
        adapt(content_of(folder + "/adapt.onnx")),
        predict(content_of(folder + "/predict.onnx")),
        init(content_of(folder + "/init.bin")) {}

  BundleFiles bytes() const { return {Bytes(manifest), Bytes(adapt), Bytes(predict), Bytes(init)}; }

  std::string manifest, adapt, predict, init;
};

Json from_memory(const std::string& bundle, const Tensors& data) {
  const Runner there(bundle, 1);
  const auto loaded = [&bundle] {
    const Files files(bundle);  // gone by the time that the runner is used
    return Runner(files.bytes(), {1});
  };
  const Runner here = loaded();
  const Learner learner = here.adapt(data.at("x"), data.at("y"));
  const Tensor want = there.adapt(data.at("x"), data.at("y")).predict_logits(data.at("query"));
  const auto content = learner.serialize({"a", std::int64_t{1}});
  learner.save("saved.safetensors", {"a", std::int64_t{1}});
  const Learner back = here.load(Bytes(content));
  Json found;
  found["path"] = here.path().string();
  found["fingerprint"] = here.fingerprint();
  found["predicts the same"] = same(learner.predict_logits(data.at("query")), want);
  found["serializes what it saves"] = Bytes(content).text() == content_of("saved.safetensors");
  found["reads what it serialized"] = same(back.predict_logits(data.at("query")), want) &&
                                      back.labels().size() == 2 && back.ways() == learner.ways();
  found["init"] = same(here.load(Bytes(here.init().serialize())).predict_logits(data.at("query")),
                       there.init().predict_logits(data.at("query")));
  found["selftest"] = thrown_by([&] { here.selftest(); });
  found["selftest of a directory"] = there.selftest().count("support_x");
  found["no state"] = thrown_by([&] { here.load(Bytes()); });
  found["half a state"] = thrown_by([&] { here.load(Bytes(content.data(), 100)); });
  return found;
}

Json odd_files(const std::string& bundle) {
  using Part = std::string Files::*;
  Json found;
  for (const auto& [name, part] :
       std::initializer_list<std::pair<const char*, Part>>{{"manifest.json", &Files::manifest},
                                                           {"adapt.onnx", &Files::adapt},
                                                           {"predict.onnx", &Files::predict},
                                                           {"init.bin", &Files::init}}) {
    Files files(bundle);
    (files.*part).pop_back();
    (files.*part).pop_back();
    found[name].push_back(thrown_by([&] { Runner runner(files.bytes()); }));
    (files.*part).clear();
    found[name].push_back(thrown_by([&] { Runner runner(files.bytes()); }));
  }
  return found;
}

Json holding_out(const Runner& runner, const Tensors& data) {
  edgemeta::AdaptOptions options;
  const auto adapt = [&](const char* x, const char* y) {
    if (x != nullptr) options.holdout_x.emplace(data.at(x));
    if (y != nullptr) options.holdout_y.emplace(data.at(y));
    return thrown_by([&] { runner.adapt(data.at("x"), data.at("y"), options); });
  };
  Json found;
  found["kept"] = adapt("x", "y");
  found["worse"] = adapt("bad_x", "bad_y");
  found["odd"] = adapt("x", "bad_y");
  options = {};
  found["half"] = adapt("x", nullptr);
  options = {};
  options.lr_scale = 1000;
  options.steps = 20;
  found["diverged"] = adapt(nullptr, nullptr);
  return found;
}

Json odd_labels(const Runner& runner) {
  const auto saved = [&runner](const std::vector<Label>& labels) {
    return thrown_by([&] { runner.init().serialize(labels); });
  };
  constexpr std::int64_t kBeyond = std::int64_t{1} << 53;
  return {
      {"plain", saved({"a", "\xd9\x82\xd9\x81", std::int64_t{-3}, 2.5, kBeyond - 1})},
      {"twice", saved({"a", "a"})},
      {"one number", saved({std::int64_t{1}, 1.0})},
      {"control", saved({"a\x1b[31m"})},
      {"no UTF-8", saved({"\xed\xa0\x80"})},
      {"large", saved({kBeyond})},
      {"huge", saved({1e300})},
      {"not a number", saved({std::numeric_limits<double>::quiet_NaN()})},
      {"long", saved({std::string(1 << 18, 'x')})},
  };
}

Json odd_arrays() {
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  const std::vector<float> values(6);
  return {
      {"beyond 64 bits", thrown_by([&] { View(values.data(), {kHuge, 8}).nbytes(); })},
      {"64 bits", thrown_by([&] { View(values.data(), {kHuge, 2}).nbytes(); })},
      {"negative", thrown_by([&] { Tensor(edgemeta::DType::float32, {-1}); })},
      {"vector", thrown_by([&] { View(values, Shape{kHuge, 4}); })},
      {"no logits", thrown_by([&] { edgemeta::labels_of(View(values, Shape{6})); })},
      {"no ways", thrown_by([&] { edgemeta::softmax(View(values.data(), {6, 0})); })},
      {"name", thrown_by([&] {
         edgemeta::write_tensors("no", {{}, {{"a\x7f", Tensor(edgemeta::DType::int8, {1})}}});
       })},
  };
}

}  // namespace

int main(int, char** words) {
  const std::string bundle = words[1];
  const Tensors data = edgemeta::read_tensors(words[2]).tensors;
  const Runner runner(bundle, 1);
  Json found = {{"memory", from_memory(bundle, data)},
                {"files", odd_files(bundle)},
                {"holdout", holding_out(runner, data)},
                {"labels", odd_labels(runner)},
                {"arrays", odd_arrays()}};
  if (runner.manifest().classification) {
    const Learner learner = runner.adapt(data.at("x"), data.at("y"));
    const Tensor logits = learner.predict_logits(data.at("query"));
    found["free functions"] =
        same(edgemeta::labels_of(logits), learner.predict(data.at("query"))) &&
        same(edgemeta::softmax(logits), learner.predict_proba(data.at("query")));
  }
  std::cout << found.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}
