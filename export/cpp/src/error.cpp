#include "edgemeta/error.hpp"

#include <utility>

#include "text.hpp"

namespace edgemeta {
namespace {

constexpr std::size_t kLongest = 1000;  // bytes of one part of an error

/// The part as one line: a terminal must not obey what a file holds.
std::string printable(const std::string& text) {
  std::string found = text.substr(0, kLongest);
  if (text.size() > kLongest) found += "...";
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::size_t size = control_at(found, i);
    found.replace(i, size, size, ' ');
  }
  while (!found.empty() && found.back() == ' ') found.pop_back();
  return found;
}

std::string line(const std::string& what, const std::string& got, const std::string& expected,
                 const std::string& hint) {
  std::string text = what;
  if (!got.empty()) text += ": got " + got;
  if (!expected.empty()) text += (got.empty() ? ": expected " : ", expected ") + expected;
  if (!hint.empty()) text += "; " + hint;
  return text;
}

}  // namespace

Error::Error(Kind kind, const std::string& what, const std::string& got,
             const std::string& expected, const std::string& hint)
    : std::runtime_error(
          line(printable(what), printable(got), printable(expected), printable(hint))),
      kind_(kind) {}

Error::Error(const Error& error, std::vector<float> losses) : Error(error) {
  losses_ = std::make_shared<const std::vector<float>>(std::move(losses));
}

const std::vector<float>& Error::losses() const {
  static const std::vector<float> none;
  return losses_ ? *losses_ : none;
}

}  // namespace edgemeta
