// SHA-256 as in FIPS 180-4.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace edgemeta {

class Sha256 {
 public:
  void update(const void* data, std::size_t size);

  /// The hash of all that was given, in hex. Nothing may be given afterwards.
  std::string hex();

 private:
  void compress(const unsigned char* block);

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> block_ = {};
  std::uint64_t size_ = 0;  // in bytes
};

/// The hash of a text, in hex.
std::string sha256(std::string_view content);

}  // namespace edgemeta
