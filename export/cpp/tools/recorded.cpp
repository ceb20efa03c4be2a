#include "recorded.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

using edgemeta::DType;
using edgemeta::Error;
using edgemeta::Shape;
using edgemeta::Tensor;
using edgemeta::Tensors;
using edgemeta::View;

namespace {

constexpr std::size_t kBlock = 512;  // consecutive values of a large result
constexpr double kSlack = 1e-5;      // a root mean square is rounded to float32

[[noreturn]] void refuse(const std::string& name, const std::string& got) {
  throw Error(Error::Kind::bundle, "the selftest does not fit the bundle: " + name, got);
}

const Tensor& part(const Tensors& recorded, const std::string& name, DType dtype,
                   const Shape& shape) {
  const auto found = recorded.find(name);
  if (found == recorded.end()) refuse(name, "no such tensor");
  const Tensor& tensor = found->second;
  if (tensor.dtype() != dtype || tensor.shape() != shape) {
    refuse(name, std::string(edgemeta::name_of(tensor.dtype())) + " " +
                     edgemeta::text_of(tensor.shape()));
  }
  return tensor;
}

/// What is no number is as far away as can be: no comparison would notice it.
double apart(double ours, double theirs) {
  const double difference = std::abs(ours - theirs);
  return std::isfinite(difference) ? difference : HUGE_VAL;
}

double largest_of(const Tensor& values) {
  double largest = 0;
  for (std::size_t i = 0; i < values.count(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(values.data<float>()[i])));
  }
  return largest;
}

double root_mean_square(const float* values, std::size_t count) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += static_cast<double>(values[i]) * values[i];
  return std::sqrt(sum / static_cast<double>(count));
}

/// Compares one value of each block, and the blocks' root mean squares: these have the limit that
/// every value has, by the triangle inequality.
double compare_samples(const Tensor& got, const Tensors& recorded, const std::string& name,
                       double& scale) {
  const std::size_t size = got.count(), blocks = (size + kBlock - 1) / kBlock;
  const Shape shape = {static_cast<std::int64_t>(blocks)};
  const Tensor& values = part(recorded, name + ".values", DType::float32, shape);
  const Tensor& places = part(recorded, name + ".places", DType::int32, shape);
  const Tensor& rms = part(recorded, name + ".rms", DType::float32, shape);
  const float* const ours = got.data<float>();
  scale = largest_of(values);
  double largest = 0;
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::int64_t place = places.data<std::int32_t>()[i];
    const std::size_t begin = i * kBlock, count = std::min(kBlock, size - begin);
    if (place < static_cast<std::int64_t>(begin) ||
        place >= static_cast<std::int64_t>(begin + count)) {
      refuse(name, "place " + std::to_string(place) + " in block " + std::to_string(i));
    }
    const double value = values.data<float>()[i], mean = rms.data<float>()[i];
    if (!std::isfinite(value) || !(mean >= 0) || !(mean <= scale * (1 + kSlack))) {
      refuse(name, "block " + std::to_string(i) + " with root mean square " + std::to_string(mean) +
                       " and a largest value of " + std::to_string(scale));
    }
    largest = std::max(largest, apart(ours[place], value));
    largest = std::max(largest, apart(root_mean_square(ours + begin, count), mean));
  }
  return largest;
}

}  // namespace

Difference compare(const Tensor& got, const Tensors& recorded, const std::string& name,
                   const std::string& shown, double atol, double rtol) {
  double largest = 0, scale = 0;
  if (recorded.count(name) == 0) {
    largest = compare_samples(got, recorded, name, scale);
  } else {
    const Tensor& want = part(recorded, name, got.dtype(), got.shape());
    for (std::size_t i = 0; i < got.count(); ++i) {
      largest = std::max(largest, apart(got.data<float>()[i], want.data<float>()[i]));
    }
    scale = largest_of(want);
  }
  return {largest, atol + rtol * scale, shown};
}
