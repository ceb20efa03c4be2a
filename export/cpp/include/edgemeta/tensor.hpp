// Arrays: in the caller's memory (View), of our own (Tensor), and in safetensors files.

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "edgemeta/error.hpp"

namespace [[gnu::visibility("default")]] edgemeta {

/// The sizes of an array's axes; empty for a scalar.
using Shape = std::vector<std::int64_t>;

/// What a bundle's data may be made of. float16 has no type of its own in C++: pass its bits.
enum class DType {
  boolean,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float16,
  float32,
  float64,
};

/// Numpy's name of a dtype, such as "float32".
std::string_view name_of(DType dtype);

/// The bytes of one number.
std::size_t size_of(DType dtype);

/// "(5, 28, 28)", as Python writes it.
std::string text_of(const Shape& shape);

/// How many numbers an array of a shape has. Throws Error (input): an axis is negative, or they are
/// more than memory can hold.
std::size_t count_of(const Shape& shape);

/// How many bytes an array has. Throws as `count_of`.
std::size_t nbytes_of(const Shape& shape, DType dtype);

/// The dtype of a C++ type.
template <class T>
constexpr DType dtype_of() {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) <= 8, "no dtype for this type");
  if constexpr (std::is_same_v<T, bool>) {
    return DType::boolean;
  } else if constexpr (std::is_floating_point_v<T>) {
    return sizeof(T) == 4 ? DType::float32 : DType::float64;
  } else {
    constexpr int log2 = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    constexpr DType first = std::is_signed_v<T> ? DType::int8 : DType::uint8;
    return static_cast<DType>(static_cast<int>(first) + log2);
  }
}

/// An array in memory of somebody else, which has to outlive the view. C order, little-endian.
class View {
 public:
  View(DType dtype, Shape shape, const void* data)
      : dtype_(dtype), shape_(std::move(shape)), data_(data) {}

  /// Any of the types that `dtype_of` knows.
  template <class T>
  View(const T* data, Shape shape) : View(dtype_of<T>(), std::move(shape), data) {}

  /// Throws Error (input) if the shape asks for another number of values.
  template <class T>
  View(const std::vector<T>& values, Shape shape) : View(values.data(), std::move(shape)) {
    check_count(values.size());
  }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::size_t count() const { return count_of(shape_); }
  std::size_t nbytes() const { return nbytes_of(shape_, dtype_); }
  const std::byte* bytes() const { return static_cast<const std::byte*>(data_); }

  /// The values. Throws Error (input) if they are of another type.
  template <class T>
  const T* data() const {
    check_dtype(dtype_of<T>());
    return static_cast<const T*>(data_);
  }

 private:
  void check_count(std::size_t values) const;
  void check_dtype(DType wanted) const;

  DType dtype_;
  Shape shape_;
  const void* data_;
};

/// An array that holds its values. C order, little-endian.
class Tensor {
 public:
  /// Filled with zeros.
  Tensor(DType dtype, Shape shape)
      : dtype_(dtype), shape_(std::move(shape)), bytes_(nbytes_of(shape_, dtype)) {}

  /// A copy of what a view shows.
  explicit Tensor(const View& view)
      : dtype_(view.dtype()),
        shape_(view.shape()),
        bytes_(view.bytes(), view.bytes() + view.nbytes()) {}

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::size_t count() const { return count_of(shape_); }
  std::byte* bytes() { return bytes_.data(); }
  const std::byte* bytes() const { return bytes_.data(); }
  operator View() const { return {dtype_, shape_, bytes_.data()}; }

  /// The values. Throws Error (input) if they are of another type.
  template <class T>
  const T* data() const {
    return View(*this).data<T>();
  }

 private:
  DType dtype_;
  Shape shape_;
  std::vector<std::byte> bytes_;
};

/// Arrays by name.
using Tensors = std::map<std::string, Tensor>;

/// What a safetensors file holds.
struct TensorFile {
  std::map<std::string, std::string> metadata;
  Tensors tensors;
};

/// Reads a safetensors file of at most 2 GB. Throws Error (input): it is missing or damaged.
TensorFile read_tensors(const std::filesystem::path& path);

/// Writes a safetensors file, whole or not at all. Throws Error (failure): it cannot be written.
void write_tensors(const std::filesystem::path& path, const TensorFile& file);

}  // namespace edgemeta
