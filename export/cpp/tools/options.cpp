#include "options.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

using edgemeta::Error;

namespace {

constexpr std::streamsize kMaxKeyBytes = 1 << 14;  // a PEM file of Ed25519 has 120
constexpr const char* kMakeKeys =
    "make a pair with `openssl genpkey -algorithm ed25519 -out private.pem` and "
    "`openssl pkey -in private.pem -pubout -out public.pem`";

std::string read_key(const std::string& path) {
  std::string content(kMaxKeyBytes + 1, '\0');
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (!file.is_open() || file.bad()) {
    throw Error(Error::Kind::input, path + " cannot be read", std::strerror(errno), "a key",
                kMakeKeys);
  }
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (file.gcount() > kMaxKeyBytes) {
    throw Error(Error::Kind::input, path + " is too large for a key", "", "", kMakeKeys);
  }
  return content;
}

}  // namespace

edgemeta::Runner open_bundle(const Arguments& arguments) {
  edgemeta::RunnerOptions options;
  options.threads = static_cast<int>(arguments.integer("--threads", 1).value_or(0));
  if (const auto path = arguments.text("--key")) options.key = read_key(*path);
  return {arguments.position(0), options};
}
