// JSON from outside: it means one thing only, and its numbers are in range.

#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "edgemeta/tensor.hpp"

namespace edgemeta {

using Json = nlohmann::json;

/// Reads a JSON object. Throws Invalid: it is none, nests too deeply, or has a key twice.
Json parse_object(std::string_view content);

/// The integer that a value is; errors call it `name`. Throws Invalid: it is none, or out of range.
std::int64_t integer_in(const Json& value, const char* name, std::int64_t least,
                        std::int64_t most = INT64_MAX);

/// The integer under a key. Throws Invalid: there is none, or it is out of range.
std::int64_t integer_at(const Json& object, const char* key, std::int64_t least,
                        std::int64_t most = INT64_MAX);

/// The text under a key. Throws Invalid: there is none.
std::string text_at(const Json& object, const char* key);

/// The shape under a key. Throws Invalid: there is none, or it has more than `most` numbers.
Shape shape_at(const Json& object, const char* key, std::int64_t most);

/// The value under a key. Throws Invalid: there is none.
const Json& at(const Json& object, const char* key);

}  // namespace edgemeta
