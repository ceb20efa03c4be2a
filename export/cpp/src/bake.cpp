#include "bake.hpp"

#include <cstdint>
#include <set>

#include "dtypes.hpp"
#include "invalid.hpp"
#include "onnx.hpp"
#include "protobuf.hpp"

// A state that is an input with a default is not a constant. The few fields that change are
// rewritten in protobuf's wire format, all others are copied as they are.

namespace edgemeta {
namespace {

using namespace onnx;  // numbers of fields

/// One field of a message that was checked: its number, its content, and all of its bytes.
struct Part {
  std::uint32_t number;
  std::string_view content, raw;
};

template <class Visit>
void each_part(std::string_view message, Visit visit) {
  while (!message.empty()) {
    const std::string_view all = message;
    const std::uint64_t tag = take_varint(message);
    const std::string_view content = take_content(message, static_cast<unsigned>(tag & 7));
    visit(Part{static_cast<std::uint32_t>(tag >> 3), content,
               all.substr(0, all.size() - message.size())});
  }
}

std::string encoded(std::uint64_t value) {
  std::string made;
  for (; value > 0x7f; value >>= 7) made += static_cast<char>((value & 0x7f) | 0x80);
  return made += static_cast<char>(value);
}

void append(std::string& message, std::uint32_t number, std::string_view content) {
  message += encoded(number << 3 | kBytes) + encoded(content.size());
  message += content;
}

/// The text of the one field of a number.
std::string text_at(std::string_view message, std::uint32_t number) {
  int found = 0;
  std::string text;
  each_part(message, [&](const Part& part) {
    if (part.number == number) ++found, text = part.content;
  });
  if (found != 1) throw Invalid("field " + std::to_string(number) + " not once");
  return text;
}

std::string tensor_of(const std::string& name, const Shape& shape, DType dtype,
                      std::string_view values) {
  std::string tensor;
  for (const std::int64_t axis : shape) {
    tensor += encoded(kDims << 3 | kVarint) + encoded(static_cast<std::uint64_t>(axis));
  }
  tensor +=
      encoded(kDataType << 3 | kVarint) + encoded(static_cast<std::uint64_t>(row_of(dtype).onnx));
  append(tensor, kName, name);
  append(tensor, kRaw, values);
  return tensor;
}

std::string baked_graph(std::string_view graph, std::string_view init,
                        const std::map<std::string, Initializer>& initializers,
                        const std::map<std::string, View>& values) {
  std::string made;
  std::set<std::string> inputs, defaults;
  each_part(graph, [&](const Part& part) {
    if (part.number == kGraphInput) {
      const std::string name = text_at(part.content, kValueName);
      inputs.insert(name);
      if (values.count(name) > 0) return;
    }
    if (part.number == kGraphInitializer) {
      const std::string name = text_at(part.content, kName);
      defaults.insert(name);
      const Initializer& tensor = initializers.at(name);
      if (const auto value = values.find(name); value != values.end()) {
        const View& view = value->second;
        const auto* const bytes = reinterpret_cast<const char*>(view.bytes());
        append(made, kGraphInitializer,
               tensor_of(name, view.shape(), view.dtype(), {bytes, view.nbytes()}));
        return;
      }
      if (tensor.offset) {
        append(made, kGraphInitializer,
               tensor_of(name, tensor.shape, tensor.dtype,
                         init.substr(static_cast<std::size_t>(*tensor.offset),
                                     static_cast<std::size_t>(tensor.nbytes))));
        return;
      }
    }
    made += part.raw;
  });
  for (const auto& [name, value] : values) {
    if (inputs.count(name) == 0 || defaults.count(name) == 0) {
      throw Invalid("no input with a default is called " + name);
    }
  }
  return made;
}

}  // namespace

std::string bake(std::string_view graph, std::string_view init,
                 const std::map<std::string, Initializer>& initializers,
                 const std::map<std::string, View>& values) {
  std::string made;
  each_part(graph, [&](const Part& part) {
    if (part.number == kModelGraph) {
      append(made, kModelGraph, baked_graph(part.content, init, initializers, values));
    } else {
      made += part.raw;
    }
  });
  return made;
}

}  // namespace edgemeta
