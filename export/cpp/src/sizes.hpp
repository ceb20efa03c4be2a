// How large an array is: the one place that multiplies what comes from outside.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "contract.hpp"
#include "edgemeta/tensor.hpp"

namespace edgemeta {

/// The most bytes that an object may have: pointers into it can be subtracted.
inline constexpr std::uint64_t kMostInMemory = PTRDIFF_MAX;

inline constexpr std::uint64_t kMostProduct = contract::kMaxInteger;

/// The product of all axes and `size`, in 64 bits also where memory has 32. Nothing if an axis is
/// negative, or, leaving out axes of 0, it is beyond 53 bits, which not every language has arrays
/// for.
inline std::optional<std::uint64_t> product_of(const Shape& shape, std::uint64_t size) {
  std::uint64_t product = size;
  bool is_empty = false;
  for (const std::int64_t axis : shape) {
    const auto factor = static_cast<std::uint64_t>(axis);
    if (axis < 0 || (axis > 0 && product > kMostProduct / factor)) return std::nullopt;
    if (axis > 0) product *= factor;
    is_empty = is_empty || axis == 0;
  }
  return is_empty ? 0 : product;
}

}  // namespace edgemeta
