#include "calibration.hpp"

#include <algorithm>
#include <cmath>

#include "contract.hpp"

namespace edgemeta {
namespace {

/// The logarithm of the probability of column `k` of a row, whose numbers are divided first.
double log_probability(const double* row, std::size_t columns, std::size_t k, double temperature) {
  double largest = row[0] / temperature;  // so that no exponential overflows
  for (std::size_t j = 1; j < columns; ++j) largest = std::max(largest, row[j] / temperature);
  double sum = 0;
  for (std::size_t j = 0; j < columns; ++j) sum += std::exp(row[j] / temperature - largest);
  return row[k] / temperature - largest - std::log(sum);
}

}  // namespace

std::vector<std::int64_t> counts_of(const std::vector<std::int64_t>& y, std::size_t classes) {
  std::vector<std::int64_t> counts(classes);
  for (const std::int64_t label : y) ++counts[static_cast<std::size_t>(label)];
  return counts;
}

std::vector<std::size_t> folds_of(const std::vector<std::int64_t>& y, std::size_t classes) {
  const auto counts = counts_of(y, classes);
  std::size_t folds = contract::kMostFolds;
  for (const std::int64_t label : y) {  // a class without samples has none to hold out
    folds = std::min(folds, static_cast<std::size_t>(counts[static_cast<std::size_t>(label)]));
  }
  std::vector<std::size_t> places(classes), found;  // of the next sample within its class
  for (const std::int64_t label : y)
    found.push_back(places[static_cast<std::size_t>(label)]++ % folds);
  return found;
}

double find_temperature(const Matrix& logits, const std::vector<std::int64_t>& y) {
  const auto cost = [&](double log_temperature) {
    const double temperature = std::exp(log_temperature);
    double own = 0;
    for (std::size_t i = 0; i < logits.rows; ++i) {
      own += log_probability(logits.row(i), logits.columns, static_cast<std::size_t>(y[i]),
                             temperature);
    }
    return log_temperature * log_temperature / 2 - own;
  };
  // Golden section search: the cost has a single valley.
  const double golden = (std::sqrt(5.0) - 1) / 2;
  double low = std::log(contract::kColdest), high = std::log(contract::kHottest);
  double left = high - golden * (high - low), right = low + golden * (high - low);
  double cost_left = cost(left), cost_right = cost(right);
  for (int round = 0; round < contract::kRounds; ++round) {
    if (cost_left < cost_right) {
      high = right, right = left, cost_right = cost_left;
      left = high - golden * (high - low);
      cost_left = cost(left);
    } else {
      low = left, left = right, cost_left = cost_right;
      right = low + golden * (high - low);
      cost_right = cost(right);
    }
  }
  return std::exp((low + high) / 2);
}

}  // namespace edgemeta
