// ONNX Runtime's sessions, with the settings that suit a device.

#pragma once

#include <onnxruntime_cxx_api.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "edgemeta/tensor.hpp"

namespace edgemeta {

/// Inputs by name.
using Given = std::vector<std::pair<std::string, View>>;

/// A graph, ready to run; several threads may run it at once.
class Graph {
 public:
  /// Makes a session of a graph in memory, and checks that its names are those of the contract.
  /// `init` is the content of `init.bin`, `path` is for errors. Throws Error (bundle): it cannot be
  /// loaded, or has other names; Error (failure): this ONNX Runtime cannot be used.
  Graph(const std::filesystem::path& path, const std::string& content, std::string& init,
        int threads, const std::set<std::string>& inputs, std::vector<std::string> outputs);

  /// Runs the graph: all outputs, in the order in which they were given to the constructor.
  /// Throws Error (failure): ONNX Runtime failed.
  std::vector<Ort::Value> run(const Given& given) const;

 private:
  std::shared_ptr<const Ort::Env> environment_;  // outlives all sessions
  mutable Ort::Session session_;                 // `Run` is safe to share, though it is not const
  std::vector<std::string> outputs_;
};

/// A view of what ONNX Runtime holds.
View view_of(const Ort::Value& value);

/// A copy that ONNX Runtime holds.
Ort::Value copy_of(const View& view);

}  // namespace edgemeta
