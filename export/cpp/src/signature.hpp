// Who signed a bundle: Ed25519 over its manifest.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace edgemeta {

inline constexpr std::size_t kSignatureBytes = 64;

/// Checks that a manifest was signed. `key` is the public key, the content of a PEM file.
/// Throws Error (bundle): it was signed by another key, or changed since; Error (input): the key
/// cannot be used.
void check_signature(std::string_view manifest, std::string_view signature, const std::string& key);

}  // namespace edgemeta
