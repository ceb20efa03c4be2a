#include "json.hpp"

#include <cmath>
#include <cstddef>
#include <vector>

#include "contract.hpp"
#include "invalid.hpp"
#include "text.hpp"

namespace edgemeta {
namespace {

constexpr std::string_view kMark = "\xef\xbb\xbf";  // of the byte order: the parser skips it

/// Looks at what the parser finds, before a document is made of it.
class Checker : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t value) override {
    return integer(value >= -contract::kMaxInteger);
  }
  bool number_unsigned(number_unsigned_t value) override {
    return integer(value <= static_cast<std::uint64_t>(contract::kMaxInteger));
  }
  bool number_float(number_float_t value, const string_t& text) override {
    if (!std::isfinite(value)) throw Invalid("a number that is not finite");
    return integer(text.find_first_of(".eE") != string_t::npos);  // or an integer of many digits
  }
  bool string(string_t& value) override {
    if (has_control(value)) throw Invalid("a string with a control character: " + value);
    return true;
  }
  bool binary(binary_t&) override { return false; }  // JSON has none
  bool start_object(std::size_t) override { return open(); }
  bool key(string_t& value) override {
    string(value);
    if (!keys_.back().insert(value).second) throw Invalid("an object with a duplicate key");
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception& error) override {
    throw Invalid(error.what());
  }

 private:
  static bool integer(bool fits) {
    if (!fits) throw Invalid("an integer beyond 2^53 - 1");
    return true;
  }
  bool open() {
    if (keys_.size() == contract::kMaxDepth) throw Invalid("nested too deeply");
    keys_.emplace_back();
    return true;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  std::vector<std::set<std::string>> keys_;  // of the objects and lists around what is being read
};

}  // namespace

Json parse_strict(std::string_view content) {
  if (content.substr(0, kMark.size()) == kMark) throw Invalid("a byte order mark");
  // The parser takes a zero byte for the end.
  if (content.find('\0') != std::string_view::npos) throw Invalid("a zero byte");
  Checker checker;
  if (!Json::sax_parse(content, &checker)) throw Invalid("no JSON");
  return Json::parse(content);
}

Json parse_object(std::string_view content) {
  Json record = parse_strict(content);
  if (!record.is_object()) throw Invalid("no object");
  return record;
}

const Json& at(const Json& object, const char* key) {
  const auto found = object.find(key);  // the end, too, if it is no object
  if (found == object.end()) throw Invalid(std::string("no field ") + key);
  return *found;
}

void check_fields(const Json& object, const char* name, const std::set<std::string>& fields) {
  if (!object.is_object()) throw Invalid(std::string(name) + " is no object");
  for (const std::string& field : fields) {
    if (!object.contains(field)) throw Invalid(std::string(name) + " has no field " + field);
  }
  for (const auto& item : object.items()) {
    if (fields.count(item.key()) == 0) {
      throw Invalid(std::string(name) + " has an unknown field " + item.key());
    }
  }
}

std::int64_t integer_in(const Json& value, const char* name, std::int64_t least,
                        std::int64_t most) {
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || value.get<std::uint64_t>() <= INT64_MAX);
  if (!fits || value.get<std::int64_t>() < least || value.get<std::int64_t>() > most) {
    throw Invalid(std::string(name) + " " + value.dump());
  }
  return value.get<std::int64_t>();
}

std::int64_t integer_at(const Json& object, const char* key, std::int64_t least,
                        std::int64_t most) {
  return integer_in(at(object, key), key, least, most);
}

const std::string& text_at(const Json& object, const char* key) {
  const Json& value = at(object, key);
  if (!value.is_string()) throw Invalid(std::string(key) + " " + value.dump());
  return value.get_ref<const std::string&>();
}

Shape shape_at(const Json& object, const char* key) {
  const Json& value = at(object, key);
  Shape shape;
  if (!value.is_array() || value.size() > contract::kMaxAxes)
    throw Invalid(std::string("no ") + key);
  for (const Json& size : value) shape.push_back(integer_in(size, key, 0, contract::kMaxSize));
  return shape;
}

}  // namespace edgemeta
