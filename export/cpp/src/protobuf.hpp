// Reading protobuf's wire format strictly: what two readers could take for two things is refused.
//
// Protobuf itself skips fields that it does not know, cuts a tag to 32 bits, merges a message that
// comes twice and keeps the last of two numbers. A reader that judges a file before another one
// uses it must not guess which of these the other one does. Source:
// https://protobuf.dev/programming-guides/encoding.

#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "contract.hpp"

namespace edgemeta {

/// The last three bits of a tag.
enum WireType : unsigned { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

/// One field of a message: its number, and its content, without the length of one that has bytes.
struct Field {
  std::uint32_t number;
  std::string_view content;
};

/// Reads messages, and bounds how much there is to read.
class ProtobufReader {
 public:
  explicit ProtobufReader(std::size_t most_fields) : left_(most_fields) {}

  /// The fields of a message in order, but for those of no interest. Throws Invalid: it is cut
  /// short, or has a field that `rules` lack, or one twice that may come once, or there are too
  /// many fields.
  template <class Rules>
  std::vector<Field> fields(std::string_view message, const Rules& rules) {
    return fields(message, std::data(rules), std::size(rules));
  }

 private:
  std::vector<Field> fields(std::string_view message, const contract::Rule* rules,
                            std::size_t count);

  std::size_t left_;
};

/// Moves an unsigned integer from the beginning of `rest`. Throws Invalid: it is cut short, has
/// more than 64 bits, or takes more bytes than it needs.
std::uint64_t take_varint(std::string_view& rest);

/// Moves the content of a field, whose tag was moved before, from the beginning of `rest`; without
/// the length of one that has bytes. Throws Invalid: it is cut short, or of an unknown wire type.
std::string_view take_content(std::string_view& rest, unsigned wire_type);

/// The unsigned integers of a field: one, or those that are packed into it. Throws Invalid: there
/// are more than `most`, or as `take_varint`.
std::vector<std::uint64_t> integers_of(const Field& field, std::size_t most);

/// The unsigned integer of a field that has one. Throws Invalid, as `take_varint`.
std::uint64_t integer_of(const Field& field);

/// The text of a field. Throws Invalid: it is not UTF-8.
std::string text_of(const Field& field);

}  // namespace edgemeta
