// The error that edgemeta throws.

#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

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

  /// The same, with the losses of the adaptation that was refused.
  Error(const Error& error, std::vector<float> losses);

  Kind kind() const { return kind_; }

  /// (steps + 1), the support loss before each step and after the last, of an adaptation that was
  /// refused (kind `adaptation`); else empty.
  const std::vector<float>& losses() const;

  /// What a program should exit with: 2 for bad input, 1 for a failure.
  int exit_code() const { return kind_ == Kind::input || kind_ == Kind::bundle ? 2 : 1; }

 private:
  Kind kind_;
  std::shared_ptr<const std::vector<float>> losses_;  // shared: copying an exception cannot throw
};

}  // namespace edgemeta
