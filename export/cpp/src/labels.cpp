#include "labels.hpp"

#include <cmath>
#include <set>
#include <utility>
#include <variant>

#include "contract.hpp"
#include "distinct.hpp"
#include "invalid.hpp"
#include "text.hpp"

namespace edgemeta {
namespace {

void check(const std::string& text) {
  if (!is_utf8(text)) throw Invalid("a text that is no UTF-8");
  if (has_control(text)) throw Invalid("a text with a control character: " + text);
}

void check(double number) {
  if (!std::isfinite(number)) throw Invalid("a number that is not finite");
  if (std::abs(number) > static_cast<double>(contract::kMaxInteger)) {  // all of these are whole
    throw Invalid("a whole number beyond 2^53 - 1");
  }
}

void check(std::int64_t number) {
  if (number < -contract::kMaxInteger || number > contract::kMaxInteger) {
    throw Invalid("a whole number beyond 2^53 - 1");
  }
}

}  // namespace

Label label_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return integer_in(value, "a label", INT64_MIN);
  if (value.is_number()) return value.get<double>();
  throw Invalid("neither text nor number: " + value.dump());
}

Json json_of(const std::vector<Label>& labels) {
  Json list = Json::array();
  for (const Label& label : labels) {
    std::visit([&list](const auto& value) { list.push_back(value); }, label);
  }
  return list;
}

void check_labels(const std::vector<Label>& labels) {
  std::set<Label, LabelLess> known;
  for (const Label& label : labels) {
    std::visit([](const auto& value) { check(value); }, label);
    if (!known.insert(label).second) throw Invalid("one of them twice");
  }
}

std::string format_labels(const std::vector<Label>& labels) {
  try {
    check_labels(labels);
    std::string text = json_of(labels).dump();
    if (text.size() <= contract::kLabelsRoom) return text;
    throw Invalid(std::to_string(text.size()) + " bytes of JSON, more than " +
                  std::to_string(contract::kLabelsRoom));
  } catch (const Invalid& error) {
    throw Error(Error::Kind::input, "the labels cannot be saved", error.what(),
                "for each class another text, or finite number (whole ones below 2^53)");
  }
}

std::vector<Label> parse_labels(std::string_view text) {
  if (text.size() > contract::kLabelsRoom) throw Invalid("too long a text");
  const Json list = parse_strict(text);
  if (!list.is_array()) throw Invalid("no list");
  std::vector<Label> labels;
  for (const Json& value : list) labels.push_back(label_of(value));
  check_labels(labels);
  return labels;
}

}  // namespace edgemeta
