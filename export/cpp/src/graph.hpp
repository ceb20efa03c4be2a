// What is in an ONNX file, read before ONNX Runtime sees it.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "edgemeta/runner.hpp"

namespace edgemeta {

/// A tensor with values within an ONNX file, or in `init.bin`.
struct Initializer {
  DType dtype;
  Shape shape;
  std::uint64_t nbytes;
  std::optional<std::uint64_t> offset;  // where it begins in `init.bin`, if it is there
};

/// What an ONNX file holds.
struct OnnxFile {
  std::uint64_t opset = 0;                          // of the standard domain
  std::set<std::string> ops;                        // those of inner graphs included
  std::map<std::string, Initializer> initializers;  // of the outer graph
};

/// What a manifest says of a graph.
struct GraphSpec {
  std::uint64_t opset = 0;
  std::set<std::string> ops;
};

/// Reads an ONNX file. Throws Invalid: it has something that no compiler of ours writes, such as
/// functions, other op domains, sparse or string tensors, external data inside a Loop's body or
/// anywhere but in `init.bin`: ONNX Runtime opens any file that a graph names, before 1.24 even
/// outside of the bundle.
OnnxFile read_onnx(std::string_view content);

/// Reads a graph of a bundle and checks that it is the one that the manifest describes. `init` is
/// the content of `init.bin`. Throws Invalid: it is not, or as `read_onnx`.
OnnxFile check_graph(std::string_view content, const GraphSpec& spec,
                     const std::vector<StateTensor>& state, std::string_view init);

}  // namespace edgemeta
