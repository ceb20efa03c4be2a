// Judges files and values as the library's readers do, for tests that compare languages, see
// tests/vectors. It links no ONNX Runtime: nothing here makes a session.
//
// On standard input frames: 4 bytes with a length, little-endian, and as many bytes of JSON, a
// request. To each a line of JSON on standard output: the verdict, why, and facts. A frame of
// length 0 ends it.

#include <array>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include "bundle.hpp"
#include "calibration.hpp"
#include "familiarity.hpp"
#include "guard.hpp"
#include "invalid.hpp"
#include "json.hpp"
#include "labels.hpp"
#include "sha256.hpp"
#include "state.hpp"
#include "tensor_file.hpp"

namespace {

using edgemeta::Json;

/// What base64 stands for. Requests come from tests: what is no base64 is left out.
std::string decoded(const std::string& text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string content;
  unsigned bits = 0, held = 0;
  for (const char digit : text) {
    const std::size_t value = kDigits.find(digit);
    if (value == std::string_view::npos) continue;
    bits = (bits << 6 | static_cast<unsigned>(value)) & 0xffff;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    content += static_cast<char>(bits >> held & 0xff);
  }
  return content;
}

std::string bytes_at(const Json& request, const char* key) {
  return decoded(request.at(key).get<std::string>());
}

Json json_of(const edgemeta::Label& label) {
  return std::visit([](const auto& value) { return Json(value); }, label);
}

float number_of(const Json& value) {
  if (!value.is_string()) return value.get<float>();
  const std::string text = value.get<std::string>();
  if (text == "NaN") return std::numeric_limits<float>::quiet_NaN();
  return text == "-Infinity" ? -HUGE_VALF : HUGE_VALF;
}

std::vector<float> numbers_of(const Json& list) {
  std::vector<float> numbers;
  for (const Json& value : list) numbers.push_back(number_of(value));
  return numbers;
}

edgemeta::View view_of(const std::vector<float>& values) {
  return {values, {static_cast<std::int64_t>(values.size())}};
}

Json judge_manifest(const Json& request) {
  const auto found = edgemeta::parse_manifest(bytes_at(request, "content"), "manifest.json");
  const edgemeta::Manifest& manifest = found.manifest;
  Json names = Json::array();
  for (const auto& tensor : manifest.state) names.push_back(tensor.name);
  Json labels;
  for (const edgemeta::Label& label : manifest.labels) labels.push_back(json_of(label));
  return {{"task", manifest.classification ? "classification" : "regression"},
          {"labels", labels},
          {"ways", manifest.ways ? Json(*manifest.ways) : Json()},
          {"state", names}};
}

Json judge_graph(const Json& request) {
  const auto record = edgemeta::parse_manifest(bytes_at(request, "manifest"), "manifest.json");
  const std::string name = request.at("name");
  const edgemeta::GraphSpec& spec =
      name == edgemeta::kAdaptFile ? record.adapt_graph : record.predict_graph;
  return {{"ops", edgemeta::check_onnx(name, bytes_at(request, "content"), spec,
                                       record.manifest.state, bytes_at(request, "init"))
                      .ops}};
}

Json judge_state(const Json& request) {
  const std::string manifest = bytes_at(request, "manifest");
  const auto record = edgemeta::parse_manifest(manifest, "manifest.json");
  const auto found = edgemeta::parse_state(bytes_at(request, "content"), "the state",
                                           record.manifest, edgemeta::sha256(manifest));
  Json labels;
  if (found.labels) {
    labels = Json::array();
    for (const edgemeta::Label& label : *found.labels) labels.push_back(json_of(label));
  }
  Json tensors = Json::object();
  for (const auto& [name, tensor] : found.tensors) {
    edgemeta::Sha256 hash;
    hash.update(tensor.bytes(), edgemeta::View(tensor).nbytes());
    tensors[name] = hash.hex();
  }
  return {
      {"ways", found.ways ? Json(*found.ways) : Json()}, {"labels", labels}, {"tensors", tensors}};
}

Json judge_labels(const Json& request) {
  std::vector<edgemeta::Label> labels;
  try {
    // A caller has no other labels than these types can hold.
    for (const Json& value : Json::parse(request.at("labels").get<std::string>())) {
      labels.push_back(edgemeta::label_of(value));
    }
  } catch (const std::exception& error) {
    throw edgemeta::Error(edgemeta::Error::Kind::input, error.what());
  }
  edgemeta::format_labels(labels);
  return Json::object();
}

Json judge_digest(const Json& request) {
  try {
    const auto file = edgemeta::parse_tensors(bytes_at(request, "content"));
    return {{"digest", edgemeta::digest(file.metadata, edgemeta::views_of(file.tensors))}};
  } catch (const edgemeta::Invalid& error) {
    throw edgemeta::Error(edgemeta::Error::Kind::bundle, error.what());
  }
}

Json judge_guard(const Json& request) {
  std::vector<std::vector<float>> state;
  for (const Json& tensor : request.at("state")) state.push_back(numbers_of(tensor));
  std::vector<edgemeta::View> views;
  for (const auto& tensor : state) views.push_back(view_of(tensor));
  const std::vector<float> losses = numbers_of(request.at("losses"));
  if (request.at("targets").is_null()) {
    edgemeta::check_progress(losses, views, nullptr);
    return Json::object();
  }
  const std::vector<float> targets = numbers_of(request.at("targets"));
  const edgemeta::View view = view_of(targets);
  edgemeta::check_progress(losses, views, &view);
  return Json::object();
}

edgemeta::Matrix matrix_of(const Json& rows) {
  edgemeta::Matrix found = {rows.size(), rows.at(0).size(), {}};
  for (const Json& row : rows) {
    for (const Json& value : row) found.values.push_back(value.get<double>());
  }
  return found;
}

Json judge_temperature(const Json& request) {
  const auto y = request.at("y").get<std::vector<std::int64_t>>();
  return {{"temperature", edgemeta::find_temperature(matrix_of(request.at("logits")), y)}};
}

Json judge_familiarity(const Json& request) {
  const edgemeta::Scores scores = {matrix_of(request.at("logits")),
                                   request.at("reference").get<std::vector<double>>()};
  return {{"familiarity", edgemeta::familiarity_of(scores, numbers_of(request.at("own")))}};
}

Json judge(const Json& request) {
  const std::string kind = request.at("kind");
  if (kind == "manifest") return judge_manifest(request);
  if (kind == "graph") return judge_graph(request);
  if (kind == "state") return judge_state(request);
  if (kind == "labels") return judge_labels(request);
  if (kind == "digest") return judge_digest(request);
  if (kind == "guard") return judge_guard(request);
  if (kind == "temperature") return judge_temperature(request);
  if (kind == "familiarity") return judge_familiarity(request);
  throw edgemeta::Error(edgemeta::Error::Kind::failure, "unknown kind", kind);
}

const char* verdict_of(const edgemeta::Error& error) {
  using Kind = edgemeta::Error::Kind;
  switch (error.kind()) {
    case Kind::input:
      return "input";
    case Kind::bundle:
      return "bundle";
    case Kind::adaptation:
      return "adaptation";
    default:
      return "failure";
  }
}

Json answer_to(const std::string& frame) {
  try {
    Json answer = judge(Json::parse(frame));
    answer["verdict"] = "accept";
    return answer;
  } catch (const edgemeta::Error& error) {
    return {{"verdict", verdict_of(error)}, {"why", error.what()}};
  }
}

}  // namespace

int main() {
  std::array<unsigned char, 4> length;
  while (std::cin.read(reinterpret_cast<char*>(length.data()), length.size())) {
    const std::uint32_t size =
        length[0] | length[1] << 8 | length[2] << 16 | static_cast<std::uint32_t>(length[3]) << 24;
    if (size == 0) break;
    std::string frame(size, '\0');
    if (!std::cin.read(frame.data(), size)) break;
    // What an error quotes may end within a character.
    std::cout << answer_to(frame).dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  }
}
