// What classes are called in a state file: a JSON list of texts and numbers.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "edgemeta/runner.hpp"
#include "json.hpp"

namespace edgemeta {

/// The label that a value of JSON is. Throws Invalid: it is neither text nor number.
Label label_of(const Json& value);

/// The list that labels are in JSON, not checked.
Json json_of(const std::vector<Label>& labels);

/// Checks labels: each another text, of UTF-8 without control characters, or another finite number,
/// which lies within 2^53 - 1 if it is whole; 1 and 1.0 are one label. Throws Invalid.
void check_labels(const std::vector<Label>& labels);

/// Labels as a state file has them. Throws Error (input): they could not be read back.
std::string format_labels(const std::vector<Label>& labels);

/// Reads labels. Throws Invalid: they are none that `format_labels` writes.
std::vector<Label> parse_labels(std::string_view text);

}  // namespace edgemeta
