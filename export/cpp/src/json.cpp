#include "json.hpp"

#include <set>
#include <string>
#include <vector>

#include "invalid.hpp"

namespace edgemeta {
namespace {

constexpr int kDeepest = 32;  // real ones nest four deep
constexpr std::size_t kMostAxes = 16;

}  // namespace

Json parse_object(std::string_view content) {
  std::vector<std::set<std::string>> keys;  // of the objects around the place that is being read
  const auto check = [&keys](int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (depth > kDeepest) throw Invalid("nested too deeply");
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second) {
      throw Invalid("an object with a duplicate key");
    }
    return true;
  };
  try {
    Json record = Json::parse(content, check);
    if (!record.is_object()) throw Invalid("no object");
    return record;
  } catch (const Json::exception& error) {
    throw Invalid(error.what());
  }
}

const Json& at(const Json& object, const char* key) {
  const auto found = object.find(key);  // the end, too, if it is no object
  if (found == object.end()) throw Invalid(std::string("no field ") + key);
  return *found;
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

std::string text_at(const Json& object, const char* key) {
  const Json& value = at(object, key);
  if (!value.is_string()) throw Invalid(std::string(key) + " " + value.dump());
  return value.get<std::string>();
}

Shape shape_at(const Json& object, const char* key, std::int64_t most) {
  const Json& value = at(object, key);
  Shape shape;
  std::int64_t room = most;  // what the axes that follow may be multiplied by
  if (!value.is_array() || value.size() > kMostAxes) throw Invalid(std::string("no ") + key);
  for (const Json& size : value) {
    const std::int64_t axis = integer_in(size, key, 0, room);
    shape.push_back(axis);
    if (axis > 0) room /= axis;
  }
  return shape;
}

}  // namespace edgemeta
