// From logits to classes and probabilities.

#include "probabilities.hpp"

#include <algorithm>

#include "edgemeta/runner.hpp"

namespace edgemeta {
namespace {

/// Throws Error (input): these are no (Q, ways) logits.
void check_logits(const View& logits) {
  const Shape& shape = logits.shape();
  if (logits.dtype() == DType::float32 && shape.size() == 2 && shape[1] > 0) return;
  throw Error(Error::Kind::input, "these are no logits",
              std::string(name_of(logits.dtype())) + " " + text_of(shape), "float32 (Q, ways)",
              "pass what predict_logits returned, of a bundle for classification");
}

}  // namespace

Tensor labels_of(const View& logits) {
  check_logits(logits);
  const std::int64_t rows = logits.shape()[0], ways = logits.shape()[1];
  Tensor labels(DType::int64, {rows});
  auto* const found = reinterpret_cast<std::int64_t*>(labels.bytes());
  const float* first = logits.data<float>();
  for (std::int64_t row = 0; row < rows; ++row, first += ways) {
    found[row] = std::max_element(first, first + ways) - first;
  }
  return labels;
}

Tensor softmax(const View& logits) {
  check_logits(logits);
  const std::int64_t rows = logits.shape()[0], ways = logits.shape()[1];
  Tensor probabilities(logits);
  auto* first = reinterpret_cast<float*>(probabilities.bytes());
  for (std::int64_t row = 0; row < rows; ++row, first += ways) {
    to_probabilities(first, first + ways);
  }
  return probabilities;
}

}  // namespace edgemeta
