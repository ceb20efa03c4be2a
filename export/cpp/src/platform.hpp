// What an operating system has to do for us: files and the environment. `platform_posix.cpp` does
// it on POSIX systems; cmake's EDGEMETA_PLATFORM_SOURCE names another file that does.

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace edgemeta {

/// Reads a file that may have been made to harm: a device, a pipe, a link, a huge one.
/// Returns nothing if it has more than `most` bytes. `follow`: whether it may be a symbolic link.
/// Throws Invalid: it cannot be read, or is no regular file.
std::optional<std::string> read_regular(const std::filesystem::path& path, std::uint64_t most,
                                        bool follow);

/// Writes a file, the pieces one behind the other, through a temporary one in the same directory.
/// Whenever the process is killed, it has its old content or the new one; the next writer removes
/// what a killed one left. Throws Error (failure): it cannot be written, and is as it was.
void write_atomically(const std::filesystem::path& path,
                      const std::vector<std::string_view>& pieces);

/// Sets an environment variable of this process, unless it is set already.
void set_default(const char* name, const char* value);

}  // namespace edgemeta
