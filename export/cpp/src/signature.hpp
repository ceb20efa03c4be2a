// Checking who signed a bundle: Ed25519 (RFC 8032), as `edgemeta sign` writes it.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace edgemeta {

inline constexpr std::size_t kSignatureBytes = 64;

/// Checks that a manifest was signed. `bundle` is what errors call it, `signature` is the content
/// of `manifest.sig`, nothing where there is none, and `pem` that of the public key's file.
/// Throws Error (bundle): it was not signed, not by this key, or was changed since; Error (input):
/// the key is no Ed25519 key, or this build does not check signatures.
void check_signature(const std::string& bundle, std::string_view manifest,
                     std::optional<std::string_view> signature, std::string_view pem);

}  // namespace edgemeta
