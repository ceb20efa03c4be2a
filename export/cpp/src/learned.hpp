// What a classifier learned, and its file.

#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "edgemeta/runner.hpp"

namespace edgemeta {

/// Samples that were learned from.
struct Support {
  Tensor x;                     // (S, *input.shape)
  std::vector<std::int64_t> y;  // (S,) numbers of classes
};

/// What a classifier learned.
struct LearnedClasses {
  Learner learner;  // with the spare class, where the head is shared
  std::vector<Label> labels;
  std::vector<float> lead;            // (C,), what `own_lead` returned
  std::vector<std::int64_t> samples;  // of each class
  std::optional<double> temperature;  // nothing: the probabilities are not calibrated
  std::optional<Support> support;     // nothing: it was not kept
};

/// Writes a classifier's file, whole or not at all. Throws as `Classifier::save`.
void write_classes(const std::filesystem::path& path, const Runner& runner,
                   const LearnedClasses& learned);

/// The content of a classifier's file. Throws as `Classifier::serialize`.
std::vector<std::byte> format_classes(const Runner& runner, const LearnedClasses& learned);

/// Reads a classifier's file. Throws Error (bundle), see `Classifier::load`.
LearnedClasses read_classes(const std::filesystem::path& path, const Runner& runner);

/// Reads the content of a classifier's file; errors call it `where`. Throws as `read_classes`.
LearnedClasses parse_classes(const std::string& where, std::string_view content,
                             const Runner& runner);

}  // namespace edgemeta
