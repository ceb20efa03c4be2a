#include "rows.hpp"

#include <algorithm>

namespace edgemeta {

Tensor rows_of(const View& all, const std::vector<std::size_t>& indices) {
  Shape shape = all.shape();
  shape[0] = static_cast<std::int64_t>(indices.size());
  Tensor found(all.dtype(), shape);
  const std::size_t size = all.nbytes() / static_cast<std::size_t>(all.shape()[0]);
  std::byte* to = found.bytes();
  for (const std::size_t index : indices) {
    to = std::copy_n(all.bytes() + index * size, size, to);
  }
  return found;
}

View rows_of(const View& all, std::int64_t begin, std::int64_t end) {
  const std::size_t row = all.nbytes() / static_cast<std::size_t>(all.shape()[0]);
  Shape shape = all.shape();
  shape[0] = end - begin;
  return {all.dtype(), shape, all.bytes() + static_cast<std::size_t>(begin) * row};
}

Tensor joined(const View& a, const View& b) {
  Shape shape = a.shape();
  shape[0] += b.shape()[0];
  Tensor found(a.dtype(), shape);
  std::byte* const middle = std::copy_n(a.bytes(), a.nbytes(), found.bytes());
  std::copy_n(b.bytes(), b.nbytes(), middle);
  return found;
}

}  // namespace edgemeta
