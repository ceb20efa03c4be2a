// ONNX Runtime alone, with all that a call needs prepared: what a prediction cannot be faster than.

#pragma once

#include <onnxruntime_cxx_api.h>

#include <vector>

#include "edgemeta/runner.hpp"

/// The predicting graph of a bundle with the state of a learner.
class Bare {
 public:
  /// `one` is a batch of samples, which has to outlive this. Throws Ort::Exception.
  Bare(const edgemeta::Runner& runner, const edgemeta::Learner& learner,
       const edgemeta::Tensor& one, int threads);

  /// Predicts the samples.
  void run();

 private:
  void give(const char* name, const edgemeta::Tensor& tensor);

  Ort::Env environment_;
  Ort::Session session_;
  edgemeta::Tensors state_;
  edgemeta::Tensor ways_;
  std::vector<Ort::Value> values_;
  std::vector<const char*> inputs_;
  const char* output_;
};
