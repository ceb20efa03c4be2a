// A recorded episode: `selftest.safetensors`, or a file laid out like it.

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "edgemeta/runner.hpp"

/// What is adapted to, what is predicted, and what PyTorch computed for it.
struct Episode {
  edgemeta::Tensor support_x, support_y, query_x;
  std::int64_t steps;
  double lr_scale;
  edgemeta::Tensors
      results;  ///< by the file's names: state, losses, prediction, or samples of them
};

/// Reads an episode; the bundle's own one by size and hash. Throws Error (input, or bundle for the
/// bundle's own): it is missing, damaged, or no episode.
Episode read_episode(const edgemeta::Runner& runner, const std::filesystem::path& path);

/// Reads the episode that the bundle has. Throws as `read_episode`.
Episode read_selftest(const edgemeta::Runner& runner);

/// "logits" or "output".
std::string prediction_name(const edgemeta::Manifest& manifest);

/// What a learner came to, by the names that an episode has: its state, losses and prediction.
edgemeta::Tensors results_of(const edgemeta::Runner& runner, const edgemeta::Learner& learner,
                             const edgemeta::Tensor& prediction);
