// What each dtype is called elsewhere.

#pragma once

#include <onnxruntime_c_api.h>

#include <array>
#include <string_view>

#include "edgemeta/tensor.hpp"
#include "invalid.hpp"

namespace edgemeta {

struct DTypeRow {
  DType dtype;
  std::string_view name;         // in numpy, and in a manifest
  std::string_view safetensors;  // in the header of such a file
  std::size_t size;
  ONNXTensorElementDataType onnx;
};

/// In the order of DType.
inline constexpr std::array<DTypeRow, 12> kDTypes = {{
    {DType::boolean, "bool", "BOOL", 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},
    {DType::int8, "int8", "I8", 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
    {DType::int16, "int16", "I16", 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16},
    {DType::int32, "int32", "I32", 4, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
    {DType::int64, "int64", "I64", 8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},
    {DType::uint8, "uint8", "U8", 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
    {DType::uint16, "uint16", "U16", 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16},
    {DType::uint32, "uint32", "U32", 4, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32},
    {DType::uint64, "uint64", "U64", 8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64},
    {DType::float16, "float16", "F16", 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16},
    {DType::float32, "float32", "F32", 4, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},
    {DType::float64, "float64", "F64", 8, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE},
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
