// ONNX Runtime's sessions, with the settings that suit a device.

#pragma once

#include <onnxruntime_cxx_api.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "edgemeta/tensor.hpp"

namespace edgemeta {

/// A graph, ready to run; several threads may run it at once.
class Graph {
 public:
  /// Makes a session of a graph in memory, and checks that its names are those of the contract.
  /// `init` is the content of `init.bin`, `path` is for errors. Throws Error (bundle): it cannot be
  /// loaded, or has other names; Error (failure): this ONNX Runtime cannot be used.
  Graph(const std::filesystem::path& path, const std::string& content, std::string& init,
        int threads, std::vector<std::string> inputs, std::vector<std::string> outputs);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Runs the graph: all outputs, in the order in which they were given to the constructor, and so
  /// are `inputs`. Those that are null, or missing at the end, have their defaults.
  /// Throws Error (failure): ONNX Runtime failed.
  std::vector<Ort::Value> run(const std::vector<const OrtValue*>& inputs) const;

  /// The same of a graph with one output, and no input that is null: what is called most often.
  Ort::Value run_one(const std::vector<const OrtValue*>& inputs) const;

 private:
  void call(const char* const* names, const OrtValue* const* values, std::size_t count,
            OrtValue** made) const;

  std::shared_ptr<const Ort::Env> environment_;  // outlives all sessions
  mutable Ort::Session session_;                 // `Run` is safe to share, though it is not const
  std::vector<std::string> inputs_, outputs_;
  std::vector<const char*> input_names_, output_names_;  // of these, as ONNX Runtime takes them
};

/// What ONNX Runtime reads in place: the array has to outlive it. Throws Error (failure).
Ort::Value wrapped(const View& view);

/// A view of what ONNX Runtime holds. Throws Error (failure).
View view_of(const Ort::Value& value);

/// A copy that ONNX Runtime holds. Throws Error (failure).
Ort::Value copy_of(const View& view);

}  // namespace edgemeta
