// Written by export/contract.py from Python's contract (edgemeta/bundle): not to be edited.
// clang-format off

#pragma once

#include <cstdint>
#include <string_view>

namespace edgemeta::contract {

/// Of a bundle, and of a state file.
inline constexpr std::int64_t kFormatVersion = 1;
inline constexpr std::int64_t kMaxManifestBytes = 524288;
/// Of adapt.onnx, and of predict.onnx.
inline constexpr std::int64_t kMaxGraphBytes = 67108864;
inline constexpr std::int64_t kMaxInitBytes = 2147483648;
inline constexpr std::int64_t kMaxSelftestBytes = 268435456;
/// Numbers of one sample, or of one target.
inline constexpr std::int64_t kMaxSampleNumbers = 67108864;
inline constexpr std::int64_t kMaxStateTensors = 4096;
/// Bytes of a state tensor's name.
inline constexpr std::int64_t kMaxName = 500;
/// Of any tensor.
inline constexpr std::int64_t kMaxAxes = 16;
/// Of one axis.
inline constexpr std::int64_t kMaxSize = 2147483647;
/// Classes of a shared head.
inline constexpr std::int64_t kMaxWays = 65536;
/// Of an adaptation.
inline constexpr std::int64_t kMaxSteps = 10000;
inline constexpr double kMaxLrScale = 1000.0;
/// Of JSON: objects and lists within each other.
inline constexpr std::int64_t kMaxDepth = 32;
/// Of JSON.
inline constexpr std::int64_t kMaxInteger = 9007199254740991;
/// Bytes of a safetensors file's header.
inline constexpr std::int64_t kHeaderRoom = 1048576;
/// Bytes of the labels in a state file.
inline constexpr std::int64_t kLabelsRoom = 262144;
/// Of the number of classes in a state file.
inline constexpr std::int64_t kMostWaysDigits = 9;
/// Samples beside a state.
inline constexpr std::int64_t kMostKept = 65536;
/// Of an ONNX file, in all.
inline constexpr std::int64_t kMaxFields = 300000;
/// Graphs within graphs.
inline constexpr std::int64_t kMaxGraphs = 8;
/// Of an offset into init.bin.
inline constexpr std::int64_t kMaxDigits = 11;
/// Values of a large result in a selftest.
inline constexpr std::int64_t kBlock = 512;
/// Share by which a root mean square may be rounded.
inline constexpr double kRmsSlack = 1e-05;
/// Share by which the support loss may end above its start.
inline constexpr double kRise = 0.5;
/// What it may rise by besides: nats, or a share of the mean square.
inline constexpr double kSlack = 0.01;
/// In which support samples are held out.
inline constexpr std::int64_t kMostFolds = 5;
/// Temperature.
inline constexpr double kColdest = 0.01;
/// Temperature.
inline constexpr double kHottest = 100.0;
/// Of the search for a temperature.
inline constexpr std::int64_t kRounds = 30;

/// Names that a state tensor cannot have.
inline constexpr std::string_view kReserved[] = {
    "logits",
    "losses",
    "lr_scale",
    "output",
    "query_x",
    "steps",
    "support_x",
    "support_y",
    "ways",
};

/// What a protobuf message may hold; all else is refused.
struct Rule {
  std::uint32_t tag;  // number << 3 | wire type
  bool once;          // at most; else any number of times
  bool skipped;       // of no interest
};

/// ModelProto
inline constexpr Rule kModelFields[] = {
    {8, true, false},
    {18, true, false},
    {26, true, false},
    {34, true, false},
    {40, true, false},
    {50, true, false},
    {58, true, false},
    {66, false, false},
    {114, false, true},
};

/// OperatorSetIdProto
inline constexpr Rule kOpsetFields[] = {
    {10, true, false},
    {16, true, false},
};

/// GraphProto
inline constexpr Rule kGraphFields[] = {
    {10, false, false},
    {18, true, false},
    {42, false, false},
    {82, true, false},
    {90, false, true},
    {98, false, true},
    {106, false, true},
    {130, false, true},
};

/// NodeProto
inline constexpr Rule kNodeFields[] = {
    {10, false, true},
    {18, false, true},
    {26, true, false},
    {34, true, false},
    {42, false, false},
    {50, true, false},
    {58, true, false},
    {74, false, true},
};

/// AttributeProto
inline constexpr Rule kAttributeFields[] = {
    {10, true, false},
    {21, true, false},
    {24, true, false},
    {34, true, false},
    {42, true, false},
    {50, true, false},
    {58, false, false},
    {61, false, false},
    {64, false, false},
    {66, false, false},
    {74, false, false},
    {82, false, false},
    {90, false, false},
    {106, true, false},
    {160, true, false},
};

/// TensorProto
inline constexpr Rule kTensorFields[] = {
    {8, false, false},
    {10, false, false},
    {16, true, false},
    {34, false, false},
    {37, false, false},
    {40, false, false},
    {42, false, false},
    {56, false, false},
    {58, false, false},
    {66, true, false},
    {74, true, false},
    {81, false, false},
    {82, false, false},
    {88, false, false},
    {90, false, false},
    {98, true, false},
    {106, false, false},
    {112, true, false},
    {130, false, true},
};

/// StringStringEntryProto
inline constexpr Rule kEntryFields[] = {
    {10, true, false},
    {18, true, false},
};

}  // namespace edgemeta::contract
