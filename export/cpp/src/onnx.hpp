// The numbers of those fields of onnx.proto that are read or written.

#pragma once

namespace edgemeta::onnx {

enum ModelField { kModelGraph = 7, kModelOpset = 8 };
enum OpsetField { kOpsetDomain = 1, kOpsetVersion = 2 };
enum GraphField { kGraphNode = 1, kGraphInitializer = 5, kGraphInput = 11 };
enum ValueField { kValueName = 1 };
enum NodeField { kOpType = 4, kAttribute = 5, kDomain = 7 };
enum AttributeField { kTensor = 5, kTensors = 10, kGraph = 6, kGraphs = 11 };
enum TensorField {
  kDims = 1,
  kDataType = 2,
  kFloats = 4,
  kInts32 = 5,
  kInts64 = 7,
  kName = 8,
  kRaw = 9,
  kDoubles = 10,
  kUnsigned64 = 11,
  kExternalData = 13,
  kLocation = 14,
};
enum EntryField { kKey = 1, kValue = 2 };

}  // namespace edgemeta::onnx
