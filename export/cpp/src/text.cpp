#include "text.hpp"

#include <cstddef>

namespace edgemeta {
namespace {

/// How many bytes the character has that begins a text; 0 if none does. RFC 3629, section 4.
std::size_t character(std::string_view text) {
  const auto byte = [text](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const std::size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  // What the second byte may be: no character twice, no surrogates, none above U+10FFFF.
  const unsigned least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < least || byte(1) > most) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  return size;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = character(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::size_t control_at(std::string_view text, std::size_t place) {
  const auto byte = static_cast<unsigned char>(text[place]);
  if (byte < 0x20 || byte == 0x7f) return 1;
  // U+0080 to U+009F, which UTF-8 writes as C2 80 to C2 9F.
  const bool wide =
      byte == 0xc2 && place + 1 < text.size() && static_cast<unsigned char>(text[place + 1]) < 0xa0;
  return wide ? 2 : 0;
}

bool has_control(std::string_view text, std::string_view but) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (control_at(text, i) > 0 && but.find(text[i]) == std::string_view::npos) return true;
  }
  return false;
}

}  // namespace edgemeta
