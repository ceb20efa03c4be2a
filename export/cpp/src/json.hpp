// JSON from outside: it means one thing only, and its numbers are in range (I-JSON, RFC 7493).

#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "edgemeta/tensor.hpp"

namespace edgemeta {

using Json = nlohmann::json;

/// Reads JSON. Throws Invalid: it is none, begins with a byte order mark, nests too deeply, has a
/// key twice, a control character in a string, a number that is not finite, or an integer that a
/// double cannot hold exactly.
Json parse_strict(std::string_view content);

/// Reads a JSON object. Throws Invalid: as `parse_strict`, or it is none.
Json parse_object(std::string_view content);

/// Checks that an object has exactly some fields; errors call it `name`. Throws Invalid.
void check_fields(const Json& object, const char* name, const std::set<std::string>& fields);

/// The integer that a value is; errors call it `name`. Throws Invalid: it is none, or out of range.
std::int64_t integer_in(const Json& value, const char* name, std::int64_t least,
                        std::int64_t most = INT64_MAX);

/// The integer under a key. Throws Invalid: there is none, or it is out of range.
std::int64_t integer_at(const Json& object, const char* key, std::int64_t least,
                        std::int64_t most = INT64_MAX);

/// The text under a key. Throws Invalid: there is none.
const std::string& text_at(const Json& object, const char* key);

/// The shape under a key. Throws Invalid: there is none, or it has too many axes or too long ones.
Shape shape_at(const Json& object, const char* key);

/// The value under a key. Throws Invalid: there is none.
const Json& at(const Json& object, const char* key);

}  // namespace edgemeta
