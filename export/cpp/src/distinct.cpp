#include "distinct.hpp"

#include <algorithm>
#include <cmath>
#include <set>

namespace edgemeta {
namespace {

constexpr double kBeyond = 9223372036854775808.0;  // 2^63, which no int64 reaches

/// Whether an integer is less than a number, exactly: not every int64 is a double.
bool less(std::int64_t a, double b) {
  if (b >= kBeyond) return true;
  return b > -kBeyond && a < static_cast<std::int64_t>(std::ceil(b));
}

bool less(double a, std::int64_t b) {
  if (a < -kBeyond) return true;
  return a < kBeyond && static_cast<std::int64_t>(std::floor(a)) < b;
}

bool less(std::int64_t a, std::int64_t b) {
  return a < b;
}

bool less(double a, double b) {
  return a < b;
}

bool is_text(const Label& label) {
  return std::holds_alternative<std::string>(label);
}

}  // namespace

bool LabelLess::operator()(const Label& a, const Label& b) const {
  if (is_text(a) || is_text(b)) {
    // The bytes of UTF-8 are in the order of the code points.
    if (is_text(a) && is_text(b)) return std::get<std::string>(a) < std::get<std::string>(b);
    return is_text(a);
  }
  const auto against = [&b](auto x) {
    if (const auto* y = std::get_if<std::int64_t>(&b)) return less(x, *y);
    return less(x, std::get<double>(b));
  };
  if (const auto* x = std::get_if<std::int64_t>(&a)) return against(*x);
  return against(std::get<double>(a));
}

std::vector<Label> distinct(const std::vector<Label>& labels) {
  std::set<Label, LabelLess> seen;
  std::vector<Label> once;
  for (const Label& label : labels) {
    if (seen.insert(label).second) once.push_back(label);
  }
  const auto texts = std::count_if(once.begin(), once.end(), is_text);
  if (texts == 0 || static_cast<std::size_t>(texts) == once.size()) {
    std::sort(once.begin(), once.end(), LabelLess());
  }
  return once;
}

std::size_t place_of(const Label& label, const std::vector<Label>& among) {
  const LabelLess before;
  const auto found = std::find_if(among.begin(), among.end(), [&](const Label& other) {
    return !before(label, other) && !before(other, label);
  });
  return static_cast<std::size_t>(found - among.begin());
}

}  // namespace edgemeta
