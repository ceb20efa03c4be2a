// Labels in order: which are the same, and which comes first.

#pragma once

#include <vector>

#include "edgemeta/runner.hpp"

namespace edgemeta {

/// Orders labels: texts by code point, before numbers by value. 1 and 1.0 are the same label.
struct LabelLess {
  bool operator()(const Label& a, const Label& b) const;
};

/// Each label once: ascending where all are texts or all are numbers, else as they come.
std::vector<Label> distinct(const std::vector<Label>& labels);

/// Where a label is among others; their number if it is not.
std::size_t place_of(const Label& label, const std::vector<Label>& among);

}  // namespace edgemeta
