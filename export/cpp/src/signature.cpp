#include "signature.hpp"

#include "edgemeta/error.hpp"

#ifdef EDGEMETA_SIGNATURES
#include <openssl/evp.h>

#include <memory>
#endif

namespace edgemeta {

#ifdef EDGEMETA_SIGNATURES

namespace {

constexpr const char* kMakeKeys =
    "make a pair with `openssl genpkey -algorithm ed25519 -out private.pem` and "
    "`openssl pkey -in private.pem -pubout -out public.pem`";

Error unusable(const std::string& what, const std::string& got = "") {
  return {Error::Kind::input, what, got, "", kMakeKeys};
}

constexpr std::string_view kBegin = "-----BEGIN PUBLIC KEY-----";
constexpr std::string_view kEnd = "-----END PUBLIC KEY-----";
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kSpaces = " \t\r\n";
/// What comes before the 32 bytes of every Ed25519 key (RFC 8410): SEQUENCE, algorithm 1.3.101.112,
/// BIT STRING.
constexpr std::string_view kPrefix("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 12);
constexpr std::size_t kKeyBytes = 32;

/// The bytes that base64 stands for; nothing if it is none.
std::optional<std::string> decoded(std::string_view text) {
  std::string found;
  unsigned bits = 0;
  std::size_t digits = 0, padding = 0;
  for (const char c : text) {
    if (kSpaces.find(c) != std::string_view::npos) continue;
    const std::size_t value = kBase64.find(c);
    if (c == '=' ? ++padding > 2 : padding > 0 || value == std::string_view::npos) {
      return std::nullopt;
    }
    bits = bits << 6 | static_cast<unsigned>(c == '=' ? 0 : value);
    if (++digits % 4 != 0) continue;
    for (const int shift : {16, 8, 0}) found += static_cast<char>(bits >> shift & 0xff);
    bits = 0;
  }
  if (digits % 4 != 0) return std::nullopt;
  found.resize(found.size() - padding);
  return found;
}

/// The 32 bytes of a PEM file. Throws Error (input).
std::string key_of(std::string_view pem) {
  const std::size_t begin = pem.find(kBegin), end = pem.find(kEnd);
  if (begin == std::string_view::npos || end == std::string_view::npos ||
      end < begin + kBegin.size()) {
    throw unusable("the key is no public key", "no -----BEGIN PUBLIC KEY-----");
  }
  const auto content = decoded(pem.substr(begin + kBegin.size(), end - begin - kBegin.size()));
  if (!content || content->empty()) throw unusable("the key is no public key", "broken base64");
  if (content->size() != kPrefix.size() + kKeyBytes ||
      std::string_view(*content).substr(0, kPrefix.size()) != kPrefix) {
    throw unusable("the key is no Ed25519 key");
  }
  return content->substr(kPrefix.size());
}

// OpenSSL's libcrypto, since Python's check rests on it: both take exactly the same signatures.
bool verifies(const std::string& key, std::string_view signature, std::string_view message) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  };
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pkey(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes(key), key.size()),
      EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  if (!pkey || !context ||
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, pkey.get()) != 1) {
    throw Error(Error::Kind::failure, "OpenSSL cannot check a signature");
  }
  return EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(message),
                          message.size()) == 1;
}

}  // namespace

void check_signature(const std::string& bundle, std::string_view manifest,
                     std::optional<std::string_view> signature, std::string_view pem) {
  const std::string key = key_of(pem);
  if (!signature) {
    throw Error(Error::Kind::bundle, bundle + " is not signed", "no readable manifest.sig", "",
                "its maker signs it with `edgemeta sign`");
  }
  if (signature->size() == kSignatureBytes && verifies(key, *signature, manifest)) return;
  throw Error(
      Error::Kind::bundle,
      bundle + " has a wrong signature: the manifest was changed, or signed by another key");
}

#else

void check_signature(const std::string&, std::string_view, std::optional<std::string_view>,
                     std::string_view) {
  throw Error(Error::Kind::input, "the key cannot be used: this build does not check signatures",
              "", "", "build edgemeta with -DEDGEMETA_SIGNATURES=ON, which needs OpenSSL");
}

#endif

}  // namespace edgemeta
