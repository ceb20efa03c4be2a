#include "protobuf.hpp"

#include <algorithm>

#include "invalid.hpp"
#include "text.hpp"

namespace edgemeta {
namespace {

std::string_view take(std::string_view& rest, std::uint64_t size) {
  if (size > rest.size()) throw Invalid("a message that is cut short");
  const std::string_view taken = rest.substr(0, static_cast<std::size_t>(size));
  rest.remove_prefix(taken.size());
  return taken;
}

}  // namespace

std::vector<Field> ProtobufReader::fields(std::string_view message, const contract::Rule* rules,
                                          std::size_t count) {
  std::vector<Field> found;
  std::uint64_t seen = 0;  // a bit for each rule
  while (!message.empty()) {
    if (left_-- == 0) throw Invalid("too many fields");
    const std::uint64_t tag = take_varint(message);  // all of it, where protobuf takes 32 bits
    const auto* const rule =
        std::find_if(rules, rules + count, [tag](const auto& each) { return each.tag == tag; });
    if (rule == rules + count) throw Invalid("an unknown field, tag " + std::to_string(tag));
    const auto number = static_cast<std::uint32_t>(tag >> 3);
    const std::uint64_t bit = std::uint64_t{1} << (rule - rules);
    if (rule->once && (seen & bit) != 0)
      throw Invalid("field " + std::to_string(number) + " twice");
    seen |= bit;
    const std::string_view content = take_content(message, static_cast<unsigned>(tag & 7));
    if (!rule->skipped) found.push_back({number, content});
  }
  return found;
}

std::string_view take_content(std::string_view& rest, unsigned wire_type) {
  const std::string_view before = rest;
  switch (wire_type) {
    case kVarint:
      take_varint(rest);
      return before.substr(0, before.size() - rest.size());
    case kFixed64:
      return take(rest, 8);
    case kFixed32:
      return take(rest, 4);
    case kBytes:
      return take(rest, take_varint(rest));
    default:
      throw Invalid("a field of an unknown wire type");
  }
}

std::uint64_t take_varint(std::string_view& rest) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(take(rest, 1)[0]);
    if (shift == 63 && byte > 1) break;  // one bit is left
    value |= std::uint64_t{byte & 0x7fU} << shift;
    if (byte >= 0x80) continue;
    if (byte == 0 && shift > 0) throw Invalid("a number that is longer than it needs to be");
    return value;
  }
  throw Invalid("a number of more than 64 bits");
}

std::vector<std::uint64_t> integers_of(const Field& field, std::size_t most) {
  std::vector<std::uint64_t> found;
  std::string_view rest = field.content;
  while (!rest.empty()) {
    if (found.size() == most) throw Invalid("more than " + std::to_string(most) + " numbers");
    found.push_back(take_varint(rest));
  }
  return found;
}

std::uint64_t integer_of(const Field& field) {
  std::string_view rest = field.content;
  return take_varint(rest);
}

std::string text_of(const Field& field) {
  if (!is_utf8(field.content)) throw Invalid("a text that is no UTF-8");
  return std::string(field.content);
}

}  // namespace edgemeta
