// How large an array is: the one place that multiplies what comes from outside.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "edgemeta/tensor.hpp"

namespace edgemeta {

/// The most bytes that an object may have: pointers into it can be subtracted.
inline constexpr std::uint64_t kMostInMemory = PTRDIFF_MAX;

/// The product of all axes and `size`, in 64 bits also where memory has 32. Nothing if an axis is
/// negative, or the axes other than 0 come to more than 64 bits, which no array of numpy can have.
inline std::optional<std::uint64_t> product_of(const Shape& shape, std::uint64_t size) {
  std::uint64_t product = size;
  bool is_empty = false;
  for (const std::int64_t axis : shape) {
    const auto factor = static_cast<std::uint64_t>(axis);
    if (axis < 0 || (axis > 0 && product > UINT64_MAX / factor)) return std::nullopt;
    if (axis > 0) product *= factor;
    is_empty = is_empty || axis == 0;
  }
  return is_empty ? 0 : product;
}

}  // namespace edgemeta
