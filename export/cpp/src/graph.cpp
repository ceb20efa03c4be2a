#include "graph.hpp"

#include <cstdint>

#include "invalid.hpp"

// Protobuf's wire format: https://protobuf.dev/programming-guides/encoding; the numbers of the
// fields are those of onnx.proto. What a parser may skip, merge or take the last of is looked at
// each time that it comes, so that it does not matter which of these ONNX Runtime does.

namespace edgemeta {
namespace {

constexpr int kDeepest = 8;  // graphs within graphs: the Loop over steps, slices, branches
constexpr std::string_view kInit = "init.bin";

/// One field of a message: its number, and its content if it has bytes.
struct Field {
  std::uint64_t number = 0;
  std::string_view bytes;
};

/// Reads a message, field by field.
class Message {
 public:
  explicit Message(std::string_view data) : rest_(data) {}

  /// The next field. False at the end. Throws Invalid: the message is cut short, or odd.
  bool next(Field& field) {
    if (rest_.empty()) return false;
    const std::uint64_t tag = varint();
    field = {tag >> 3, {}};
    switch (tag & 7) {
      case 0:
        varint();
        break;
      case 1:
        take(8);
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        take(4);
        break;
      default:
        throw Invalid("a field of an unknown wire type");
    }
    return true;
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= std::uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
    throw Invalid("a number of more than 64 bits");
  }

  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) throw Invalid("a message that is cut short");
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
};

/// Walks through graphs and gathers the ops.
class Reader {
 public:
  void read_model(std::string_view model) {
    each(model, [this](const Field& field) {
      if (field.number == 7) read_graph(field.bytes, 0);
      if (field.number == 8) check_domain(field.bytes, 1);  // opset_import
      if (field.number == 20 || field.number == 25) throw Invalid("functions, or training info");
    });
  }

  const std::set<std::string>& ops() const { return ops_; }

 private:
  template <class Visit>
  static void each(std::string_view data, Visit visit) {
    Message message(data);
    for (Field field; message.next(field);) visit(field);
  }

  void read_graph(std::string_view graph, int depth) {
    if (depth == kDeepest) throw Invalid("graphs nested too deeply");
    each(graph, [this, depth](const Field& field) {
      if (field.number == 1) read_node(field.bytes, depth);
      if (field.number == 5) read_tensor(field.bytes, depth == 0);
      if (field.number == 15) throw Invalid("a sparse tensor");
    });
  }

  void read_node(std::string_view node, int depth) {
    check_domain(node, 7);
    each(node, [this, depth](const Field& field) {
      if (field.number == 4) ops_.emplace(field.bytes);
      if (field.number == 5) read_attribute(field.bytes, depth);
    });
  }

  void read_attribute(std::string_view attribute, int depth) {
    each(attribute, [this, depth](const Field& field) {
      if (field.number == 5 || field.number == 10) read_tensor(field.bytes, false);
      if (field.number == 6 || field.number == 11) read_graph(field.bytes, depth + 1);
      if (field.number == 22 || field.number == 23) throw Invalid("a sparse tensor");
    });
  }

  static void read_tensor(std::string_view tensor, bool may_be_external) {
    each(tensor, [may_be_external](const Field& field) {
      if (field.number != 13) return;  // external_data
      if (!may_be_external) throw Invalid("external data where there can be none");
      std::string_view key, value;
      int fields = 0;
      each(field.bytes, [&](const Field& part) {
        ++fields;
        (part.number == 1 ? key : value) = part.bytes;
      });
      if (fields != 2) throw Invalid("external data that is said twice, or half");
      if (key == "location" && value != kInit) throw Invalid("external data not in init.bin");
    });
  }

  static void check_domain(std::string_view message, std::uint64_t number) {
    each(message, [number](const Field& field) {
      if (field.number == number && !field.bytes.empty()) {
        throw Invalid("an op of the domain " + std::string(field.bytes));
      }
    });
  }

  std::set<std::string> ops_;
};

}  // namespace

void check_graph(std::string_view content, const std::set<std::string>& ops) {
  Reader reader;
  reader.read_model(content);
  if (reader.ops() != ops) throw Invalid("other ops than the manifest says");
}

}  // namespace edgemeta
