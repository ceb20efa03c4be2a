// Writing files so that a reader sees the old content or the new one; reading them with care.

#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace edgemeta {

/// Reads a file that may have been made to harm: a device, a pipe, a link, a huge one.
/// Returns nothing if it has more than `most` bytes. `follow`: whether it may be a symbolic link.
/// Throws Invalid: it cannot be read, or is no regular file.
std::optional<std::string> read_regular(const std::filesystem::path& path, std::size_t most,
                                        bool follow);

/// Writes a file through a temporary one in the same directory. Whenever the process is killed, it
/// has its old content or the new one; the next writer removes what a killed one left.
/// Throws Error (failure): it cannot be written, and is as it was.
void write_atomically(const std::filesystem::path& path, std::string_view content);

}  // namespace edgemeta
