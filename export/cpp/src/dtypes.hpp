// What each dtype is called elsewhere.

#pragma once

#include <array>
#include <limits>
#include <string_view>

#include "edgemeta/tensor.hpp"
#include "invalid.hpp"

// Files have little-endian numbers, which are used as they lie in memory.
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "edgemeta needs a little-endian processor"
#endif

namespace edgemeta {

static_assert(std::numeric_limits<float>::is_iec559 && sizeof(float) == 4 &&
                  std::numeric_limits<double>::is_iec559 && sizeof(double) == 8,
              "edgemeta needs the floating point numbers of IEC 559");

struct DTypeRow {
  DType dtype;
  std::string_view name;         // in numpy, and in a manifest
  std::string_view safetensors;  // in the header of such a file
  std::size_t size;
  int onnx;  // in onnx.proto, and of ONNX Runtime
};

/// In the order of DType.
inline constexpr std::array<DTypeRow, 12> kDTypes = {{
    {DType::boolean, "bool", "BOOL", 1, 9},
    {DType::int8, "int8", "I8", 1, 3},
    {DType::int16, "int16", "I16", 2, 5},
    {DType::int32, "int32", "I32", 4, 6},
    {DType::int64, "int64", "I64", 8, 7},
    {DType::uint8, "uint8", "U8", 1, 2},
    {DType::uint16, "uint16", "U16", 2, 4},
    {DType::uint32, "uint32", "U32", 4, 12},
    {DType::uint64, "uint64", "U64", 8, 13},
    {DType::float16, "float16", "F16", 2, 10},
    {DType::float32, "float32", "F32", 4, 1},
    {DType::float64, "float64", "F64", 8, 11},
}};

inline const DTypeRow& row_of(DType dtype) {
  return kDTypes.at(static_cast<std::size_t>(dtype));
}

/// The dtype whose row has `value` in `column`. Throws Invalid: there is none.
template <class Column>
DType dtype_where(Column DTypeRow::* column, const Column& value) {
  for (const DTypeRow& row : kDTypes) {
    if (row.*column == value) return row.dtype;
  }
  throw Invalid("an unknown dtype");
}

}  // namespace edgemeta
