// From logits to probabilities, for numbers of either width.

#pragma once

#include <algorithm>
#include <cmath>

namespace edgemeta {

/// Makes the logits of one sample, divided by a temperature, its probabilities.
template <class T>
void to_probabilities(T* first, T* end, T temperature = 1) {
  const T largest = *std::max_element(first, end);  // so that no exponential overflows
  T sum = 0;
  for (T* value = first; value != end; ++value) {
    sum += * value = std::exp((*value - largest) / temperature);
  }
  for (T* value = first; value != end; ++value) *value /= sum;
}

}  // namespace edgemeta
