// Rows of arrays: samples of a batch, classes of a head.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "edgemeta/tensor.hpp"

namespace edgemeta {

/// A copy of the rows at some indices.
Tensor rows_of(const View& all, const std::vector<std::size_t>& indices);

/// A view of the rows from one to before another.
View rows_of(const View& all, std::int64_t begin, std::int64_t end);

/// The rows of one array, and behind them those of another.
Tensor joined(const View& a, const View& b);

}  // namespace edgemeta
