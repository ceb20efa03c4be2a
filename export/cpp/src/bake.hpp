// A graph with a state baked in: constants that ONNX Runtime folds, packs and lays out once.

#pragma once

#include <map>
#include <string>
#include <string_view>

#include "edgemeta/tensor.hpp"
#include "graph.hpp"

namespace edgemeta {

/// Makes inputs of a checked graph its constants, and takes in what it has in `init.bin`.
/// `initializers` are what the check found. `values` are by name; each names an input that has a
/// default, which may have another shape. Returns a graph that has all of its tensors in it.
/// Throws Invalid: the graph lacks one of the inputs.
std::string bake(std::string_view graph, std::string_view init,
                 const std::map<std::string, Initializer>& initializers,
                 const std::map<std::string, View>& values);

}  // namespace edgemeta
