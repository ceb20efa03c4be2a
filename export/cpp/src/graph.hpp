// What is in an ONNX file, read before ONNX Runtime sees it.

#pragma once

#include <set>
#include <string>
#include <string_view>

namespace edgemeta {

/// Checks that a graph is one that a bundle may have: its ops are those given, all of the standard
/// domain, and values outside of it are in `init.bin` and belong to the outer graph. ONNX Runtime
/// opens any file that a graph names, before 1.24 even outside of the bundle.
/// Throws Invalid: it is not.
void check_graph(std::string_view content, const std::set<std::string>& ops);

}  // namespace edgemeta
