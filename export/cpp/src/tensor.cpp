#include "edgemeta/tensor.hpp"

#include "dtypes.hpp"

namespace edgemeta {

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
  std::size_t count = 1;
  for (const std::int64_t axis : shape) count *= static_cast<std::size_t>(axis);
  return count;
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
