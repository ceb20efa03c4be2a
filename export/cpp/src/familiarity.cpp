#include "familiarity.hpp"

#include <algorithm>

#include "calibration.hpp"

namespace edgemeta {

std::vector<double> familiarity_of(const Scores& scores, const std::vector<float>& own) {
  std::vector<double> found;
  for (std::size_t i = 0; i < scores.logits.rows; ++i) {
    const std::size_t winner = scores.logits.winner(i);
    const double scale = static_cast<double>(own[winner]);
    const double lead = scores.logits.at(i, winner) - scores.reference[i];
    // A class without samples, or one that its own samples do not win, is familiar with nothing.
    found.push_back(scale > 0 ? lead / scale : 0);
  }
  return found;
}

std::vector<float> own_lead(const Scores& scores, const std::vector<std::int64_t>& y) {
  const std::size_t classes = scores.logits.columns;
  std::vector<double> sums(classes);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto label = static_cast<std::size_t>(y[i]);
    sums[label] += scores.logits.at(i, label) - scores.reference[i];
  }
  const auto counts = counts_of(y, classes);
  std::vector<float> lead;
  for (std::size_t k = 0; k < classes; ++k) {
    const auto count = std::max<std::int64_t>(counts[k], 1);
    lead.push_back(static_cast<float>(sums[k] / static_cast<double>(count)));
  }
  return lead;
}

std::vector<float> lead_for_all(std::vector<float> lead, const std::vector<std::int64_t>& samples) {
  double sum = 0, classes = 0;
  for (std::size_t k = 0; k < lead.size(); ++k) {
    if (samples[k] == 0) continue;
    sum += static_cast<double>(lead[k]);
    ++classes;
  }
  for (std::size_t k = 0; k < lead.size(); ++k) {
    if (samples[k] == 0) lead[k] = static_cast<float>(sum / classes);
  }
  return lead;
}

}  // namespace edgemeta
