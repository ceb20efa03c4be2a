#include "edgemeta/tensor.hpp"

#include "dtypes.hpp"
#include "sizes.hpp"

namespace edgemeta {
namespace {

std::size_t in_memory(const Shape& shape, std::size_t size) {
  const auto product = product_of(shape, size);
  if (!product || *product > kMostInMemory) {
    throw Error(Error::Kind::input, "an array of shape " + text_of(shape) + " fits no memory");
  }
  return static_cast<std::size_t>(*product);
}

}  // namespace

std::string_view name_of(DType dtype) {
  return row_of(dtype).name;
}

std::size_t size_of(DType dtype) {
  return row_of(dtype).size;
}

std::string text_of(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::size_t count_of(const Shape& shape) {
  return in_memory(shape, 1);
}

std::size_t nbytes_of(const Shape& shape, DType dtype) {
  return in_memory(shape, size_of(dtype));
}

void View::check_count(std::size_t values) const {
  if (values != count()) {
    throw Error(Error::Kind::input, "an array of shape " + text_of(shape_) + " does not fit",
                std::to_string(values) + " values", std::to_string(count()));
  }
}

void View::check_dtype(DType wanted) const {
  if (wanted != dtype_) {
    throw Error(Error::Kind::input, "an array is read as another type than it has",
                std::string(name_of(wanted)), std::string(name_of(dtype_)));
  }
}

}  // namespace edgemeta
