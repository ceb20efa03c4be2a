// What is wrong with a file's content, before it is known which file that is.

#pragma once

#include <stdexcept>

namespace edgemeta {

/// Thrown by readers of content from outside; whoever knows the file makes an Error of it.
struct Invalid : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace edgemeta
