#include "arguments.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "edgemeta/error.hpp"

namespace {

edgemeta::Error usage(const std::string& command, const std::string& what) {
  return {edgemeta::Error::Kind::input, what, "", "", "see edgemeta-cpp " + command + " --help"};
}

}  // namespace

Arguments::Arguments(std::string command, const std::vector<std::string>& words,
                     const std::vector<std::string>& positions,
                     const std::vector<std::string>& options, const std::vector<std::string>& flags)
    : command_(std::move(command)) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--json") {
      json_ = true;
    } else if (std::find(flags.begin(), flags.end(), word) != flags.end()) {
      flags_.insert(word);
    } else if (word.rfind("--", 0) != 0) {
      positions_.push_back(word);
    } else if (std::find(options.begin(), options.end(), word) == options.end()) {
      throw usage(command_, "no such option: " + word);
    } else if (++i == words.size()) {
      throw usage(command_, word + " requires a value");
    } else {
      values_[word].push_back(words[i]);
    }
  }
  if (positions_.size() > positions.size()) {
    throw usage(command_, "unexpected argument: " + positions_[positions.size()]);
  }
  if (positions_.size() < positions.size()) {
    throw usage(command_, "missing argument: " + positions[positions_.size()]);
  }
}

std::optional<std::string> Arguments::text(const std::string& option) const {
  const auto found = values_.find(option);
  return found == values_.end() ? std::nullopt : std::optional(found->second.back());
}

std::vector<std::int64_t> Arguments::integers(const std::string& option, std::int64_t least) const {
  std::vector<std::int64_t> numbers;
  const auto found = values_.find(option);
  if (found == values_.end()) return numbers;
  for (const std::string& word : found->second) {
    std::int64_t value = 0;
    const char* const end = word.data() + word.size();
    const auto [stopped, error] = std::from_chars(word.data(), end, value);
    if (error != std::errc() || stopped != end || value < least) {
      throw usage(command_, option + " must be an integer of at least " + std::to_string(least) +
                                ": got " + word);
    }
    numbers.push_back(value);
  }
  return numbers;
}

std::optional<std::int64_t> Arguments::integer(const std::string& option,
                                               std::int64_t least) const {
  const auto numbers = integers(option, least);
  return numbers.empty() ? std::nullopt : std::optional(numbers.back());
}

std::optional<double> Arguments::number(const std::string& option) const {
  const auto word = text(option);
  if (!word) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(word->c_str(), &end);
  if (word->empty() || *end != '\0')
    throw usage(command_, option + " must be a number: got " + *word);
  return value;
}
