#include "inputs.hpp"

#include <algorithm>
#include <cstring>
#include <sstream>

#include "contract.hpp"
#include "manifest.hpp"

namespace edgemeta {
namespace {

constexpr auto kInput = Error::Kind::input;

/// Whether all floating point numbers are finite, which have the bits of `T` and this infinity.
/// Each prediction asks: a loop without branches, which compilers vectorize.
template <class T>
bool all_below(const View& array, T infinity) {
  constexpr T kSign = T{1} << (8 * sizeof(T) - 1);
  const std::byte* from = array.bytes();
  const std::size_t count = array.count();
  T largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    T bits;
    std::memcpy(&bits, from + i * sizeof(T), sizeof(T));
    largest = std::max(largest, static_cast<T>(bits & static_cast<T>(~kSign)));
  }
  return largest < infinity;
}

std::string range(std::int64_t least, std::int64_t most) {
  return std::to_string(least) + ".." + std::to_string(most);
}

/// Whether a shape is that of a batch. Each prediction asks: no shape is made for it.
bool is_batch(const Shape& shape, const Shape& sample) {
  return shape.size() == sample.size() + 1 &&
         std::equal(sample.begin(), sample.end(), shape.begin() + 1);
}

/// "(n, 28, 28)"
std::string batch_text(const Shape& sample) {
  std::string text = "(n";
  for (const std::int64_t axis : sample) text += ", " + std::to_string(axis);
  return text + (sample.empty() ? ",)" : ")");
}

void check_dtype(const char* name, const View& array, DType wanted) {
  if (array.dtype() == wanted) return;
  const bool scaled = wanted < DType::float16 && array.dtype() >= DType::float16;
  throw Error(kInput, std::string(name) + " has the wrong dtype",
              std::string(name_of(array.dtype())), std::string(name_of(wanted)),
              scaled ? "pass raw samples: scaling happens inside the bundle" : "convert it");
}

void check_finite(const char* name, const View& array) {
  if (!is_finite(array)) {
    throw Error(kInput, std::string(name) + " holds values that are not finite", "", "",
                "drop or repair these samples");
  }
}

void check_labels(const char* name, const View& y, std::int64_t samples, std::int64_t ways) {
  if (y.shape() != Shape{samples}) {
    throw Error(kInput, std::string(name) + " has the wrong shape", text_of(y.shape()),
                text_of({samples}) + ", one label for each sample");
  }
  const std::int64_t* labels = y.data<std::int64_t>();
  const auto [least, most] = std::minmax_element(labels, labels + samples);
  if (*least < 0 || *most >= ways) {
    throw Error(kInput, std::string(name) + " has labels outside the task's classes",
                range(*least, *most), range(0, ways - 1), "number the classes from 0");
  }
}

}  // namespace

Shape batch_of(std::int64_t rows, const Shape& sample) {
  Shape shape = {rows};
  shape.insert(shape.end(), sample.begin(), sample.end());
  return shape;
}

bool is_finite(const View& array) {
  switch (array.dtype()) {
    case DType::float32:
      return all_below<std::uint32_t>(array, 0x7f800000);
    case DType::float64:
      return all_below<std::uint64_t>(array, 0x7ff0000000000000);
    case DType::float16:
      return all_below<std::uint16_t>(array, 0x7c00);
    default:
      return true;
  }
}

void check_samples(const char* name, const View& x, const TensorSpec& spec) {
  if (x.shape() == spec.shape) {
    throw Error(kInput, std::string(name) + " is one sample, not a batch",
                "shape " + text_of(x.shape()), batch_text(spec.shape),
                "put a 1 in front of its shape");
  }
  if (!is_batch(x.shape(), spec.shape)) {
    throw Error(kInput, std::string(name) + " has the wrong shape", text_of(x.shape()),
                batch_text(spec.shape), "pass samples as the model was trained on them");
  }
  if (x.shape()[0] <= 0) {
    throw Error(kInput, std::string(name) + " is empty", "", "at least one sample");
  }
  check_dtype(name, x, spec.dtype);
  check_finite(name, x);
}

void check_support(const char* x_name, const View& x, const char* y_name, const View& y,
                   const Manifest& manifest, std::optional<std::int64_t> ways) {
  check_samples(x_name, x, manifest.input);
  const std::int64_t samples = x.shape()[0];
  if (samples < manifest.least_support) {
    throw Error(kInput, std::string(x_name) + " has too few samples", std::to_string(samples),
                "at least " + std::to_string(manifest.least_support),
                "the model's batch norm needs more than one value per channel");
  }
  check_dtype(y_name, y, manifest.target.dtype);
  if (ways) return check_labels(y_name, y, samples, *ways);
  if (y.shape() != batch_of(samples, manifest.target.shape)) {
    throw Error(kInput, std::string(y_name) + " has the wrong shape", text_of(y.shape()),
                text_of(batch_of(samples, manifest.target.shape)));
  }
  check_finite(y_name, y);
}

std::int64_t check_steps(std::int64_t steps) {
  if (steps < 0 || steps > contract::kMaxSteps) {
    throw Error(kInput, "steps is out of range", std::to_string(steps),
                range(0, contract::kMaxSteps));
  }
  return steps;
}

float check_lr_scale(double lr_scale) {
  if (!(lr_scale >= 0 && lr_scale <= contract::kMaxLrScale)) {
    std::ostringstream got;
    got << lr_scale;
    throw Error(kInput, "lr_scale is out of range", got.str(), "0..1000");
  }
  return static_cast<float>(lr_scale);
}

std::int64_t check_ways(std::int64_t ways, const Manifest& manifest, std::int64_t least) {
  if (!manifest.most_ways()) {
    throw Error(kInput, "ways is for classification", std::to_string(ways));
  }
  if (ways < least || ways > *manifest.most_ways()) {
    throw Error(kInput, "ways is out of range", std::to_string(ways),
                range(least, *manifest.most_ways()));
  }
  return ways;
}

}  // namespace edgemeta
