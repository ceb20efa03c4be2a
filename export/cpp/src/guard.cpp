#include "guard.hpp"

#include <cmath>
#include <iomanip>
#include <sstream>
#include <string>

#include "contract.hpp"
#include "inputs.hpp"

// edgemeta/device/guard.py is the same in Python.

namespace edgemeta {
namespace {

std::string text(double value) {
  std::ostringstream written;
  written << std::setprecision(4) << value;
  return written.str();
}

[[noreturn]] void refuse(const std::string& what, const std::string& got,
                         const std::string& expected, const std::vector<float>& losses) {
  throw Error(
      Error(Error::Kind::adaptation, what, got, expected,
            "nothing was changed; try a smaller lr_scale or fewer steps, or check the labels"),
      losses);
}

[[noreturn]] void refuse_diverged(const std::string& what, const std::vector<float>& losses,
                                  const std::string& expected = "") {
  refuse("adaptation diverged: " + what,
         text(losses.front()) + " -> " + text(losses.back()) + " in " +
             std::to_string(losses.size() - 1) + " steps",
         expected, losses);
}

double mean_square(const View& targets) {
  const float* const values = targets.data<float>();
  const std::size_t count = targets.count();
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += static_cast<double>(values[i]) * values[i];
  return sum / static_cast<double>(count);
}

std::int64_t right_of(const View& predicted, const View& y) {
  const std::int64_t* const ours = predicted.data<std::int64_t>();
  const std::int64_t* const truth = y.data<std::int64_t>();
  const std::size_t count = y.count();
  std::int64_t right = 0;
  for (std::size_t i = 0; i < count; ++i) right += ours[i] == truth[i] ? 1 : 0;
  return right;
}

}  // namespace

void check_finite(const std::vector<float>& losses, const std::vector<View>& state) {
  if (!std::isfinite(losses.back())) refuse_diverged("the support loss is not finite", losses);
  for (const View& tensor : state) {
    if (!is_finite(tensor)) refuse_diverged("the state is not finite", losses);
  }
}

void check_progress(const std::vector<float>& losses, const std::vector<View>& state,
                    const View* targets) {
  check_finite(losses, state);
  const double unit = targets == nullptr ? 1 : mean_square(*targets);
  const double limit = losses.front() * (1 + contract::kRise) + contract::kSlack * unit;
  if (losses.back() > limit) {
    refuse_diverged("the support loss rose", losses, "at most " + text(limit));
  }
}

void check_right(const View& was, const View& is, const View& y, const std::vector<float>& losses) {
  const std::int64_t before = right_of(was, y), after = right_of(is, y);
  if (after >= before) return;
  refuse("adaptation made the holdout worse",
         std::to_string(after) + " of " + std::to_string(y.count()) + " right",
         "at least " + std::to_string(before), losses);
}

void check_loss(double was, double is, const std::vector<float>& losses) {
  if (is <= was) return;
  refuse("adaptation made the holdout worse", "a loss of " + text(is), "at most " + text(was),
         losses);
}

}  // namespace edgemeta
