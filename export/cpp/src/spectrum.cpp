#include "edgemeta/spectrum.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "inputs.hpp"
#include "invalid.hpp"
#include "json.hpp"

namespace edgemeta {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kLowestHz = 20;
constexpr double kLogOffset = 1e-6;
constexpr std::int64_t kMostNumbers = std::int64_t{1} << 26;  // in a clip, or in a filter bank
constexpr std::int64_t kMostMels = 1 << 16;

using Complex = std::complex<double>;

double mel(double hertz) {
  return 2595 * std::log10(1 + hertz / 700);
}

/// A triangular filter: what it multiplies the bins of a power spectrum with, from the first that
/// it does not leave out.
struct Filter {
  std::size_t first = 0;
  std::vector<double> weights;
};

std::vector<Filter> filters_of(std::size_t mels, std::size_t size, double rate) {
  const double low = mel(kLowestHz), high = mel(rate / 2);
  const double step = (high - low) / static_cast<double>(mels + 1);
  std::vector<Filter> filters(mels);
  for (std::size_t bin = 0; bin <= size / 2; ++bin) {
    const double at = mel(static_cast<double>(bin) * rate / static_cast<double>(size));
    for (std::size_t m = 0; m < mels; ++m) {
      const double place = (at - (low + static_cast<double>(m) * step)) / step;  // 1: its middle
      const double weight = 1 - std::abs(place - 1);
      if (weight <= 0) continue;
      if (filters[m].weights.empty()) filters[m].first = bin;
      filters[m].weights.push_back(weight);
    }
  }
  return filters;
}

/// X[k] = sum_n x[n] exp(-2 pi i k n / N) in place, for N a power of two, by Cooley and Tukey.
/// `roots` are exp(-2 pi i k / N) for k below N / 2.
void transform(std::vector<Complex>& x, const std::vector<Complex>& roots) {
  const std::size_t size = x.size();
  for (std::size_t k = 0, reversed = 0; k < size; ++k) {
    if (k < reversed) std::swap(x[k], x[reversed]);
    std::size_t bit = size >> 1;
    for (; (bit & reversed) != 0; bit >>= 1) reversed ^= bit;
    reversed |= bit;
  }
  for (std::size_t half = 1; half < size; half *= 2) {
    const std::size_t stride = size / (2 * half);
    for (std::size_t begin = 0; begin < size; begin += 2 * half) {
      for (std::size_t j = 0; j < half; ++j) {
        Complex& a = x[begin + j];
        Complex& b = x[begin + j + half];
        const Complex root = roots[j * stride];
        // Spelled out: the standard's product looks after infinities, and takes its time.
        const Complex turned(root.real() * b.real() - root.imag() * b.imag(),
                             root.real() * b.imag() + root.imag() * b.real());
        b = a - turned;
        a += turned;
      }
    }
  }
}

/// A periodic Hann window.
std::vector<double> taper_of(std::int64_t window) {
  std::vector<double> taper;
  for (std::int64_t n = 0; n < window; ++n) {
    taper.push_back(0.5 -
                    0.5 * std::cos(2 * kPi * static_cast<double>(n) / static_cast<double>(window)));
  }
  return taper;
}

std::vector<Complex> roots_of(std::size_t size) {
  std::vector<Complex> roots;
  for (std::size_t k = 0; k < size / 2; ++k) {
    roots.push_back(std::polar(1.0, -2 * kPi * static_cast<double>(k) / static_cast<double>(size)));
  }
  return roots;
}

/// The orthonormal DCT-II, as rows.
std::vector<std::vector<double>> cosines_of(std::int64_t coefficients, std::int64_t mels) {
  std::vector<std::vector<double>> rows(static_cast<std::size_t>(coefficients));
  for (std::size_t k = 0; k < rows.size(); ++k) {
    const double scale = std::sqrt((k == 0 ? 1.0 : 2.0) / static_cast<double>(mels));
    for (std::int64_t m = 0; m < mels; ++m) {
      rows[k].push_back(scale *
                        std::cos(kPi * static_cast<double>(k) * (static_cast<double>(m) + 0.5) /
                                 static_cast<double>(mels)));
    }
  }
  return rows;
}

Error too_large() {
  return {Error::Kind::input, "the features are out of range, or need too much memory"};
}

/// Samples of a clip; whoever calls goes on with a record that is in range. Throws Error (input).
std::int64_t length_of(const SpectrumRecord& record) {
  const auto within = [](std::int64_t value, std::int64_t most) {
    return value >= 1 && value <= most;
  };
  const double length = record.seconds * static_cast<double>(record.sample_rate);
  if (!within(record.sample_rate, kMostNumbers) || !within(record.window_ms, kMostNumbers) ||
      !within(record.hop_ms, kMostNumbers) || !within(record.mels, kMostMels) ||
      !(length > 0 && length <= kMostNumbers)) {
    throw too_large();
  }
  if (record.mfcc && !within(record.coefficients, record.mels)) {
    throw Error(Error::Kind::input, "more coefficients than filters",
                std::to_string(record.coefficients), "1.." + std::to_string(record.mels));
  }
  return std::llrint(length);  // halves go to the even number, as in Python
}

/// The number under a key. Throws Invalid: there is none.
double number_at(const Json& object, const char* key) {
  const Json& value = at(object, key);
  if (!value.is_number()) throw Invalid(std::string(key) + " " + value.dump());
  return value.get<double>();
}

SpectrumRecord record_of(const Json& said) {
  const std::string features = text_at(said, "features");
  if (features != "mfcc" && features != "logmel") throw Invalid("features " + features);
  SpectrumRecord record;
  record.mfcc = features == "mfcc";
  record.sample_rate = integer_at(said, "sample_rate", 1, kMostNumbers);
  record.seconds = number_at(said, "seconds");
  record.window_ms = integer_at(said, "window_ms", 1, kMostNumbers);
  record.hop_ms = integer_at(said, "hop_ms", 1, kMostNumbers);
  record.mels = integer_at(said, "mels", 1, kMostMels);
  record.coefficients = integer_at(said, "coefficients", 1, kMostMels);
  return record;
}

/// Throws Invalid: what stands there as computed is not what is computed here.
void check_constants(const Json& said, std::size_t size, double rate) {
  const Json expected = {{"n_fft", size},          {"taper", "hann, periodic"},
                         {"mel_scale", "htk"},     {"lowest_hz", kLowestHz},
                         {"highest_hz", rate / 2}, {"log_offset", kLogOffset}};
  for (const auto& [name, value] : expected.items()) {
    if (at(said, name.c_str()) != value) throw Invalid(name + " " + said[name].dump());
  }
}

}  // namespace

/// What is computed once.
struct Spectrum::Plan {
  SpectrumRecord record;
  std::int64_t length = 0, window = 0, hop = 0, frames = 0, width = 0;
  std::vector<double> taper;                 // (window,)
  std::vector<Complex> roots;                // (n_fft / 2,)
  std::vector<Filter> filters;               // (mels,)
  std::vector<std::vector<double>> cosines;  // (coefficients, mels); none for log-mel

  std::size_t size() const { return 2 * roots.size(); }

  /// The logarithm of each band's energy in the frame that begins at a sample.
  std::vector<double> bands(const float* clip, std::int64_t samples, std::int64_t begin,
                            std::vector<Complex>& room) const {
    std::fill(room.begin(), room.end(), Complex());
    const std::int64_t there = std::min(window, samples - begin);
    for (std::int64_t n = 0; n < there; ++n) {
      const auto index = static_cast<std::size_t>(n);
      room[index] = static_cast<double>(clip[begin + n]) * taper[index];
    }
    transform(room, roots);
    std::vector<double> found;
    for (const Filter& filter : filters) {
      double energy = 0;
      for (std::size_t i = 0; i < filter.weights.size(); ++i) {
        energy += filter.weights[i] * std::norm(room[filter.first + i]);
      }
      found.push_back(std::log(energy + kLogOffset));
    }
    return found;
  }
};

Spectrum::Spectrum(const SpectrumRecord& record) {
  auto plan = std::make_shared<Plan>();
  plan->record = record;
  plan->length = length_of(record);
  plan->window = record.window_ms * record.sample_rate / 1000;
  plan->hop = record.hop_ms * record.sample_rate / 1000;
  if (plan->hop < 1 || plan->window < 2 || plan->window > plan->length) {
    throw Error(Error::Kind::input, "the frames do not fit the clips",
                std::to_string(plan->window) + " and " + std::to_string(plan->hop) + " of " +
                    std::to_string(plan->length) + " samples",
                "a window within the clip, and a hop of a sample or more");
  }
  if (record.mels * plan->window > kMostNumbers) throw too_large();
  plan->frames = 1 + (plan->length - plan->window) / plan->hop;
  plan->width = record.mfcc ? record.coefficients : record.mels;
  std::size_t size = 2;
  while (size < static_cast<std::size_t>(plan->window)) size *= 2;
  plan->taper = taper_of(plan->window);
  plan->roots = roots_of(size);
  plan->filters = filters_of(static_cast<std::size_t>(record.mels), size,
                             static_cast<double>(record.sample_rate));
  if (record.mfcc) plan->cosines = cosines_of(record.coefficients, record.mels);
  plan_ = std::move(plan);
}

std::optional<Spectrum> Spectrum::of(const Runner& runner) {
  try {
    const Json training = parse_strict(runner.manifest().training);
    if (!training.is_object() || !training.contains("result")) return std::nullopt;
    const Json& result = training["result"];
    if (!result.is_object() || !result.contains("preprocessing")) return std::nullopt;
    const Json& said = result["preprocessing"];
    if (!said.is_object() || !said.contains("features")) return std::nullopt;
    Spectrum spectrum(record_of(said));
    check_constants(said, spectrum.plan_->size(),
                    static_cast<double>(spectrum.record().sample_rate));
    const Shape& wanted = runner.manifest().input.shape;
    if (spectrum.shape() != wanted) {
      throw Invalid("shape " + text_of(spectrum.shape()) + " for " + text_of(wanted));
    }
    return spectrum;
  } catch (const std::runtime_error& error) {  // Invalid, or the constructor's Error
    throw Error(Error::Kind::bundle, "these features are not computed here", error.what(), "",
                "use the edgemeta that made the bundle");
  }
}

const SpectrumRecord& Spectrum::record() const {
  return plan_->record;
}

std::int64_t Spectrum::length() const {
  return plan_->length;
}

Shape Spectrum::shape() const {
  return {plan_->frames, plan_->width};
}

Tensor Spectrum::compute(const View& clip) const {
  if (clip.shape().size() != 1 || clip.dtype() != DType::float32 || !is_finite(clip)) {
    throw Error(Error::Kind::input, "a clip cannot be used",
                std::string(name_of(clip.dtype())) + " " + text_of(clip.shape()),
                "(n,) finite float32 samples, full scale 1");
  }
  const float* const samples = clip.data<float>();
  std::vector<Complex> room(plan_->size());
  std::vector<float> found;
  for (std::int64_t frame = 0; frame < plan_->frames; ++frame) {
    const auto bands = plan_->bands(samples, clip.shape()[0], frame * plan_->hop, room);
    if (plan_->cosines.empty()) found.insert(found.end(), bands.begin(), bands.end());
    for (const auto& row : plan_->cosines) {
      double sum = 0;
      for (std::size_t m = 0; m < row.size(); ++m) sum += row[m] * bands[m];
      found.push_back(static_cast<float>(sum));
    }
  }
  return Tensor(View(found, {1, plan_->frames, plan_->width}));
}

}  // namespace edgemeta
