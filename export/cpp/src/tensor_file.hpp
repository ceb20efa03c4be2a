// Safetensors files in memory.

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "edgemeta/tensor.hpp"

namespace edgemeta {

using Metadata = std::map<std::string, std::string>;
using Views = std::map<std::string, View>;

/// Views of arrays, which have to outlive them.
Views views_of(const Tensors& tensors);

/// A safetensors file that has not been put together: the values stay where they are.
struct TensorPieces {
  std::string header;                    // with its length in front
  std::vector<std::string_view> values;  // of the tensors, one behind the other

  /// All bytes in order: of the header, which must not be moved meanwhile, and of the tensors.
  std::vector<std::string_view> all() const;
};

/// Reads the content of a safetensors file. Throws Invalid: it is damaged.
TensorFile parse_tensors(std::string_view content);

/// Throws Invalid: a truth value of the tensor `name` is neither 0 nor 1, which is undefined in
/// C++.
void check_bools(const std::string& name, std::string_view values);

/// A safetensors file of these. Throws Error (input): a name or metadata is no UTF-8, or they are
/// longer than a reader takes.
TensorPieces format_tensors(const Metadata& metadata, const Views& tensors);

/// The sha256, in hex, of tensors and metadata, whatever their order in a file: of all metadata,
/// name and value; then of all tensors, name, dtype, the sizes of the axes joined by commas, and
/// the values; both in order of their names, and every text ended by a zero byte.
std::string digest(const Metadata& metadata, const Views& tensors);

}  // namespace edgemeta
