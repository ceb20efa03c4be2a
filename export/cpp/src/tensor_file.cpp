#include "tensor_file.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "contract.hpp"
#include "dtypes.hpp"
#include "invalid.hpp"
#include "json.hpp"
#include "platform.hpp"
#include "sha256.hpp"
#include "sizes.hpp"
#include "text.hpp"

namespace edgemeta {
namespace {

constexpr std::size_t kLengthBytes = 8;  // of the header's length, little-endian, in front of it
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 31;
constexpr const char* kMetadata = "__metadata__";

std::string_view bytes_of(const View& view) {
  return {reinterpret_cast<const char*>(view.bytes()), view.nbytes()};
}

/// The header's length. Throws Invalid: it is not that of a header which is there.
std::size_t header_size(std::string_view content) {
  std::uint64_t size = 0;
  if (content.size() < kLengthBytes) throw Invalid("no header of a safetensors file");
  std::memcpy(&size, content.data(), kLengthBytes);
  if (size > std::min<std::uint64_t>(contract::kHeaderRoom, content.size() - kLengthBytes)) {
    throw Invalid("no header of a safetensors file");
  }
  return static_cast<std::size_t>(size);
}

Metadata metadata_of(const Json& header) {
  Metadata found;
  if (!header.contains(kMetadata)) return found;
  const Json& record = header[kMetadata];
  if (!record.is_object()) throw Invalid("metadata that are no texts");
  for (const auto& [name, value] : record.items()) {
    if (!value.is_string()) throw Invalid("metadata that are no texts");
    found.emplace(name, value.get<std::string>());
  }
  return found;
}

/// Where a tensor's values begin and end. Throws Invalid: not within `size` bytes.
std::pair<std::size_t, std::size_t> place_at(const Json& entry, std::size_t size) {
  const Json& offsets = at(entry, "data_offsets");
  if (!offsets.is_array() || offsets.size() != 2) throw Invalid("no data_offsets");
  const auto most = static_cast<std::int64_t>(size);
  const std::int64_t begin = integer_in(offsets[0], "data_offsets", 0, most);
  const std::int64_t end = integer_in(offsets[1], "data_offsets", begin, most);
  return {static_cast<std::size_t>(begin), static_cast<std::size_t>(end)};
}

/// Throws Error (input): a reader would refuse the text.
void check_text(const std::string& text) {
  if (is_utf8(text) && !has_control(text)) return;
  throw Error(Error::Kind::input, "names and metadata of tensors cannot be saved", text,
              "UTF-8 without control characters");
}

}  // namespace

Views views_of(const Tensors& tensors) {
  return {tensors.begin(), tensors.end()};
}

std::vector<std::string_view> TensorPieces::all() const {
  std::vector<std::string_view> pieces = {header};
  pieces.insert(pieces.end(), values.begin(), values.end());
  return pieces;
}

TensorFile parse_tensors(std::string_view content) {
  const std::size_t size = header_size(content);
  const Json header = parse_object(content.substr(kLengthBytes, size));
  const std::string_view values = content.substr(kLengthBytes + size);
  TensorFile file = {metadata_of(header), {}};
  std::vector<std::pair<std::size_t, std::size_t>> places;
  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadata) continue;
    check_fields(entry, "a tensor", {"dtype", "shape", "data_offsets"});
    const DType dtype =
        dtype_where(&DTypeRow::safetensors, std::string_view(text_at(entry, "dtype")));
    const Shape shape = shape_at(entry, "shape");
    const auto [begin, end] = place_at(entry, values.size());
    if (product_of(shape, size_of(dtype)) != end - begin) {
      throw Invalid(name + " has another number of bytes than its shape");
    }
    if (dtype == DType::boolean) check_bools(name, values.substr(begin, end - begin));
    places.emplace_back(begin, end);
    file.tensors.emplace(name, Tensor(View(dtype, shape, values.data() + begin)));
  }
  // Nothing lies between two tensors, and nothing twice.
  std::sort(places.begin(), places.end());
  std::size_t reached = 0;
  for (const auto& [begin, end] : places) {
    if (begin != reached) throw Invalid("tensors that overlap or leave a gap");
    reached = end;
  }
  if (reached != values.size()) throw Invalid("more bytes than its tensors have");
  return file;
}

void check_bools(const std::string& name, std::string_view values) {
  if (!std::all_of(values.begin(), values.end(), [](char value) { return (value & ~1) == 0; })) {
    throw Invalid(name + " holds truth values beyond 0 and 1");
  }
}

TensorPieces format_tensors(const Metadata& metadata, const Views& tensors) {
  for (const auto& [name, value] : metadata) check_text(name), check_text(value);
  for (const auto& [name, tensor] : tensors) check_text(name);
  TensorPieces pieces;
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    pieces.values.push_back(bytes_of(tensor));
    const std::uint64_t end = offset + pieces.values.back().size();
    header[name] = {{"dtype", row_of(tensor.dtype()).safetensors},
                    {"shape", tensor.shape()},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  if (text.size() > contract::kHeaderRoom) {
    throw Error(Error::Kind::input, "names and metadata of tensors are too long",
                std::to_string(text.size()) + " bytes",
                "at most " + std::to_string(contract::kHeaderRoom));
  }
  const std::uint64_t size = text.size();
  pieces.header.resize(kLengthBytes);
  std::memcpy(pieces.header.data(), &size, kLengthBytes);
  pieces.header += text;
  return pieces;
}

std::string digest(const Metadata& metadata, const Views& tensors) {
  Sha256 hash;
  const auto text = [&hash](std::string_view value) {
    hash.update(value.data(), value.size());
    hash.update("", 1);
  };
  for (const auto& [name, value] : metadata) text(name), text(value);
  for (const auto& [name, tensor] : tensors) {
    std::string shape;
    for (const std::int64_t axis : tensor.shape()) {
      shape += (shape.empty() ? "" : ",") + std::to_string(axis);
    }
    text(name), text(name_of(tensor.dtype())), text(shape);
    hash.update(tensor.bytes(), tensor.nbytes());
  }
  return hash.hex();
}

TensorFile read_tensors(const std::filesystem::path& path) {
  try {
    const auto content = read_regular(path, kMostBytes, true);
    if (!content) throw Invalid("more than 2 GB");
    return parse_tensors(*content);
  } catch (const Invalid& error) {
    throw Error(Error::Kind::input, path.string() + " is no readable safetensors file",
                error.what());
  }
}

void write_tensors(const std::filesystem::path& path, const TensorFile& file) {
  const TensorPieces pieces = format_tensors(file.metadata, views_of(file.tensors));
  write_atomically(path, pieces.all());
}

}  // namespace edgemeta
