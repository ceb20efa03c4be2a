// What a selftest keeps of a result: all of it, or samples of a large one. The format is described
// in cpp_runtime_notes.md. edgemeta/bundle/selftest.py and export/web/src/recorded.ts read it, too.

#pragma once

#include <string>

#include "edgemeta/tensor.hpp"

/// How far one tensor is from PyTorch.
struct Difference {
  double largest = 0;
  double limit = 0;  ///< atol + rtol * the largest recorded value
  std::string tensor;

  double share() const { return largest / limit; }
};

/// Compares a computed result with what is recorded under `name`, whole or in samples; the
/// difference is said of `shown`. Throws Error (bundle): nothing is, or it is damaged.
Difference compare(const edgemeta::Tensor& got, const edgemeta::Tensors& recorded,
                   const std::string& name, const std::string& shown, double atol, double rtol);
