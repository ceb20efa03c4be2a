#include "graph.hpp"

#include <algorithm>
#include <utility>

#include "contract.hpp"
#include "dtypes.hpp"
#include "invalid.hpp"
#include "onnx.hpp"
#include "protobuf.hpp"
#include "sizes.hpp"
#include "tensor_file.hpp"

// edgemeta/bundle/_onnx_check.py is the same in Python.

namespace edgemeta {
namespace {

using namespace onnx;  // numbers of fields

constexpr std::string_view kInit = "init.bin";
constexpr std::uint64_t kExternal = 1;  // data_location

/// The field of a number that may come once; null if it did not come.
const Field* single(const std::vector<Field>& fields, std::uint32_t number) {
  const auto found = std::find_if(fields.begin(), fields.end(),
                                  [number](const Field& each) { return each.number == number; });
  return found == fields.end() ? nullptr : &*found;
}

std::string text_in(const std::vector<Field>& fields, std::uint32_t number) {
  const Field* const found = single(fields, number);
  return found == nullptr ? "" : text_of(*found);
}

std::uint64_t integer_in(const std::vector<Field>& fields, std::uint32_t number) {
  const Field* const found = single(fields, number);
  return found == nullptr ? 0 : integer_of(*found);
}

bool is_typed_data(const Field& field) {
  constexpr std::uint32_t kTyped[] = {kFloats, kInts32, kInts64, kDoubles, kUnsigned64};
  return std::find(std::begin(kTyped), std::end(kTyped), field.number) != std::end(kTyped);
}

/// A number as external data has it: a few decimal digits.
std::uint64_t size_of_digits(const std::string& text) {
  if (text.empty() || text.size() > contract::kMaxDigits ||
      text.find_first_not_of("0123456789") != std::string::npos) {
    throw Invalid("external data at " + text);
  }
  return std::stoull(text);
}

/// Walks through graphs.
class Reader {
 public:
  OnnxFile read(std::string_view content) {
    std::vector<Field> graphs;
    int opsets = 0;
    for (const Field& each : reader_.fields(content, contract::kModelFields)) {
      if (each.number == kModelGraph) graphs.push_back(each);
      if (each.number == kModelOpset) file_.opset = read_opset(each), ++opsets;
    }
    if (graphs.size() != 1 || opsets != 1) throw Invalid("no graph, or not one opset");
    read_graph(graphs[0], contract::kMaxGraphs, true);
    return std::move(file_);
  }

 private:
  std::uint64_t read_opset(const Field& place) {
    const auto found = reader_.fields(place.content, contract::kOpsetFields);
    const std::string domain = text_in(found, kOpsetDomain);
    if (!domain.empty() || single(found, kOpsetVersion) == nullptr) {
      throw Invalid("opset of the domain " + domain);
    }
    return integer_in(found, kOpsetVersion);
  }

  void read_graph(const Field& place, std::int64_t depth, bool is_outer) {
    if (depth == 0) throw Invalid("graphs nested too deeply");
    for (const Field& each : reader_.fields(place.content, contract::kGraphFields)) {
      if (each.number == kGraphNode) read_node(each, depth);
      if (each.number != kGraphInitializer) continue;
      auto [name, tensor] = read_tensor(each, is_outer);
      if (!is_outer) continue;
      if (name.empty() || !file_.initializers.emplace(name, std::move(tensor)).second) {
        throw Invalid("an initializer without a name of its own: " + name);
      }
    }
  }

  void read_node(const Field& place, std::int64_t depth) {
    std::string op;
    for (const Field& each : reader_.fields(place.content, contract::kNodeFields)) {
      if (each.number == kAttribute) read_attribute(each, depth);
      if (each.number == kOpType) op = text_of(each);
      if (each.number != kDomain) continue;
      if (const std::string domain = text_of(each); !domain.empty()) {
        throw Invalid("an op of the domain " + domain);
      }
    }
    if (op.empty()) throw Invalid("a node without an op");
    file_.ops.insert(std::move(op));
  }

  void read_attribute(const Field& place, std::int64_t depth) {
    for (const Field& each : reader_.fields(place.content, contract::kAttributeFields)) {
      if (each.number == kTensor || each.number == kTensors) read_tensor(each, false);
      if (each.number == kGraph || each.number == kGraphs) read_graph(each, depth - 1, false);
    }
  }

  std::pair<std::string, Initializer> read_tensor(const Field& place, bool may_be_external) {
    const auto found = reader_.fields(place.content, contract::kTensorFields);
    std::string name = text_in(found, kName);
    const DType dtype = dtype_of_number(name, integer_in(found, kDataType));
    Initializer tensor = {dtype, read_shape(name, found), 0, {}};
    const auto count = product_of(tensor.shape, 1),
               nbytes = product_of(tensor.shape, size_of(dtype));
    if (!nbytes) throw Invalid(name + " has shape " + text_of(tensor.shape));
    tensor.nbytes = *nbytes;
    bool is_typed = false, is_described = false;
    std::uint64_t typed_bytes = 0;
    for (const Field& each : found) {
      if (is_typed_data(each)) is_typed = true, typed_bytes += each.content.size();
      is_described = is_described || each.number == kExternalData;
    }
    const Field* const raw = single(found, kRaw);
    const std::uint64_t location = integer_in(found, kLocation);
    if (location == kExternal && may_be_external && !is_typed && raw == nullptr) {
      tensor.offset = read_offset(name, found, tensor);
      return {std::move(name), std::move(tensor)};
    }
    if (location != 0 || is_described) {
      throw Invalid(name + " has external data where there can be none");
    }
    const bool fits = raw != nullptr ? !is_typed && raw->content.size() == tensor.nbytes
                                     : *count <= typed_bytes;  // each takes a byte at least
    if (!fits) {
      throw Invalid(name + " of shape " + text_of(tensor.shape) + " has another number of values");
    }
    return {std::move(name), std::move(tensor)};
  }

  static DType dtype_of_number(const std::string& name, std::uint64_t number) {
    for (const DTypeRow& row : kDTypes) {
      if (static_cast<std::uint64_t>(row.onnx) == number) return row.dtype;
    }
    throw Invalid(name + " has data type " + std::to_string(number));
  }

  static Shape read_shape(const std::string& name, const std::vector<Field>& fields) {
    Shape shape;
    for (const Field& each : fields) {
      if (each.number != kDims) continue;
      for (const std::uint64_t axis : integers_of(each, contract::kMaxAxes)) {
        if (axis > contract::kMaxSize) throw Invalid(name + " has a huge axis");
        shape.push_back(static_cast<std::int64_t>(axis));
      }
      if (shape.size() > contract::kMaxAxes) throw Invalid(name + " has too many axes");
    }
    return shape;
  }

  /// Where in `init.bin` an external tensor begins.
  std::uint64_t read_offset(const std::string& name, const std::vector<Field>& fields,
                            const Initializer& tensor) {
    std::map<std::string, std::string> said;
    for (const Field& each : fields) {
      if (each.number != kExternalData) continue;
      const auto entry = reader_.fields(each.content, contract::kEntryFields);
      if (entry.size() != 2 || !said.emplace(text_in(entry, kKey), text_in(entry, kValue)).second) {
        throw Invalid(name + " has external data that is said twice, or half");
      }
    }
    const bool known = said.size() == 3 && said.count("offset") > 0 && said.count("length") > 0;
    if (!known || said["location"] != kInit)
      throw Invalid(name + " has external data not in init.bin");
    const std::uint64_t offset = size_of_digits(said["offset"]);
    if (size_of_digits(said["length"]) != tensor.nbytes || offset % size_of(tensor.dtype) != 0) {
      throw Invalid(name + " has external data of another length than its shape, or not aligned");
    }
    return offset;
  }

  ProtobufReader reader_{static_cast<std::size_t>(contract::kMaxFields)};
  OnnxFile file_;
};

void check_state(const OnnxFile& file, const std::vector<StateTensor>& state) {
  for (const StateTensor& wanted : state) {
    const auto found = file.initializers.find(wanted.name);
    if (found == file.initializers.end() || found->second.dtype != wanted.dtype ||
        found->second.shape != wanted.shape) {
      throw Invalid("state tensor " + wanted.name + " does not fit its manifest");
    }
  }
}

/// Checks where a tensor lies in `init.bin`, and its truth values.
void check_external(const std::string& name, const Initializer& tensor, std::string_view init) {
  if (!tensor.offset) return;
  if (*tensor.offset > init.size() || tensor.nbytes > init.size() - *tensor.offset) {
    throw Invalid(name + " ends beyond the " + std::to_string(init.size()) + " bytes of init.bin");
  }
  if (tensor.dtype == DType::boolean) {
    check_bools(name, init.substr(static_cast<std::size_t>(*tensor.offset),
                                  static_cast<std::size_t>(tensor.nbytes)));
  }
}

}  // namespace

OnnxFile read_onnx(std::string_view content) {
  return Reader().read(content);
}

OnnxFile check_graph(std::string_view content, const GraphSpec& spec,
                     const std::vector<StateTensor>& state, std::string_view init) {
  OnnxFile file = read_onnx(content);
  if (file.opset != spec.opset) {
    throw Invalid("opset " + std::to_string(file.opset) + ", the manifest says " +
                  std::to_string(spec.opset));
  }
  if (file.ops != spec.ops) throw Invalid("other ops than the manifest says");
  check_state(file, state);
  for (const auto& [name, tensor] : file.initializers) check_external(name, tensor, init);
  return file;
}

}  // namespace edgemeta
