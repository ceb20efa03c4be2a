// Rows of numbers in double precision, as scores are worked with.

#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace edgemeta {

/// (rows, columns) numbers in C order.
struct Matrix {
  std::size_t rows = 0, columns = 0;
  std::vector<double> values;

  const double* row(std::size_t index) const { return values.data() + index * columns; }
  double at(std::size_t row, std::size_t column) const { return values[row * columns + column]; }

  /// The column of a row's largest number, the first of equal ones.
  std::size_t winner(std::size_t index) const {
    const double* const first = row(index);
    return static_cast<std::size_t>(std::max_element(first, first + columns) - first);
  }
};

}  // namespace edgemeta
