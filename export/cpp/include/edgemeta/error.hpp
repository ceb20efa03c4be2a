// The error that edgemeta throws.

#pragma once

#include <stdexcept>
#include <string>

namespace [[gnu::visibility("default")]] edgemeta {

/// One line fit for a person to read: what is wrong, what was found, what was wanted instead, and
/// what to do next. It has no control characters and a bounded length, whatever it quotes.
class Error : public std::runtime_error {
 public:
  enum class Kind {
    input,       ///< the caller's data or options cannot be used
    bundle,      ///< a bundle or a state file is missing, damaged, or of an unknown version
    adaptation,  ///< an adaptation diverged; nothing was changed
    parity,      ///< this machine computes something else than PyTorch did
    failure,     ///< all else: a full disk, an error of ONNX Runtime
  };

  Error(Kind kind, const std::string& what, const std::string& got = "",
        const std::string& expected = "", const std::string& hint = "");

  Kind kind() const { return kind_; }

  /// What a program should exit with: 2 for bad input, 1 for a failure.
  int exit_code() const { return kind_ == Kind::input || kind_ == Kind::bundle ? 2 : 1; }

 private:
  Kind kind_;
};

}  // namespace edgemeta
