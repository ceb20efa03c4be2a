// Safetensors files in memory.

#pragma once

#include <string>
#include <string_view>

#include "edgemeta/tensor.hpp"

namespace edgemeta {

/// What a file's header may take: bytes; thousands of tensors need less.
inline constexpr std::size_t kHeaderRoom = 1 << 20;

/// Reads the content of a safetensors file. Throws Invalid: it is damaged.
TensorFile parse_tensors(std::string_view content);

/// The content of a safetensors file.
std::string format_tensors(const TensorFile& file);

/// The sha256, in hex, of tensors and metadata, whatever their order in a file: of all metadata,
/// name and value; then of all tensors, name, dtype, the sizes of the axes joined by commas, and
/// the values; both in order of their names, and every text ended by a zero byte.
std::string digest(const TensorFile& file);

}  // namespace edgemeta
