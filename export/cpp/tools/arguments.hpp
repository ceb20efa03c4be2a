// What was typed behind a command: positions, options with a value, flags.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

/// The arguments of one command, checked against what it takes.
class Arguments {
 public:
  /// Throws edgemeta::Error (input): an unknown option, one without its value, or another number of
  /// positions than `positions` names.
  Arguments(std::string command, const std::vector<std::string>& words,
            const std::vector<std::string>& positions, const std::vector<std::string>& options,
            const std::vector<std::string>& flags = {});

  const std::string& position(std::size_t index) const { return positions_[index]; }

  /// Whether --json was given, which every command takes.
  bool json() const { return json_; }

  /// Whether one of the flags was given.
  bool flag(const std::string& name) const { return flags_.count(name) > 0; }

  /// The last value of an option.
  std::optional<std::string> text(const std::string& option) const;

  /// All values of an option, as integers of at least `least`. Throws Error (input).
  std::vector<std::int64_t> integers(const std::string& option, std::int64_t least) const;

  /// The last of them.
  std::optional<std::int64_t> integer(const std::string& option, std::int64_t least) const;

  /// The last value of an option as a number. Throws Error (input).
  std::optional<double> number(const std::string& option) const;

 private:
  std::string command_;
  std::vector<std::string> positions_;
  std::map<std::string, std::vector<std::string>> values_;
  std::set<std::string> flags_;
  bool json_ = false;
};
