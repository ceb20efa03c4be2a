#include "tensor_file.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "dtypes.hpp"
#include "files.hpp"
#include "invalid.hpp"
#include "json.hpp"
#include "sha256.hpp"

namespace edgemeta {
namespace {

constexpr std::size_t kLengthBytes = 8;  // of the header's length, little-endian, in front of it
constexpr std::size_t kMostBytes = std::size_t{1} << 31;
constexpr std::int64_t kMostNumbers = std::int64_t{1} << 31;  // of a tensor; it may have none
constexpr const char* kMetadata = "__metadata__";

/// The header's length. Throws Invalid: it is not that of a header which is there.
std::size_t header_size(std::string_view content) {
  std::uint64_t size = 0;
  if (content.size() < kLengthBytes) throw Invalid("no header of a safetensors file");
  std::memcpy(&size, content.data(), kLengthBytes);
  if (size > std::min<std::uint64_t>(kHeaderRoom, content.size() - kLengthBytes)) {
    throw Invalid("no header of a safetensors file");
  }
  return static_cast<std::size_t>(size);
}

std::map<std::string, std::string> metadata_of(const Json& header) {
  std::map<std::string, std::string> found;
  if (!header.contains(kMetadata)) return found;
  const Json& record = header[kMetadata];
  if (!record.is_object()) throw Invalid("metadata that are no texts");
  for (const auto& [name, value] : record.items()) {
    if (!value.is_string()) throw Invalid("metadata that are no texts");
    found.emplace(name, value.get<std::string>());
  }
  return found;
}

}  // namespace

TensorFile parse_tensors(std::string_view content) {
  const std::size_t size = header_size(content);
  const Json header = parse_object(content.substr(kLengthBytes, size));
  const std::string_view values = content.substr(kLengthBytes + size);
  TensorFile file = {metadata_of(header), {}};
  std::vector<std::pair<std::size_t, std::size_t>> places;
  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadata) continue;
    const DType dtype =
        dtype_where(&DTypeRow::safetensors, std::string_view(text_at(entry, "dtype")));
    const auto most = static_cast<std::int64_t>(values.size());
    const Shape shape = shape_at(entry, "shape", kMostNumbers);
    const Json& offsets = at(entry, "data_offsets");
    if (!offsets.is_array() || offsets.size() != 2) throw Invalid("no data_offsets of " + name);
    const auto begin = static_cast<std::size_t>(integer_in(offsets[0], "data_offsets", 0, most));
    const auto end = static_cast<std::size_t>(integer_in(offsets[1], "data_offsets", 0, most));
    if (end < begin || end - begin != count_of(shape) * size_of(dtype)) {
      throw Invalid(name + " has another number of bytes than its shape");
    }
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

std::string format_tensors(const TensorFile& file) {
  Json header = Json::object();
  if (!file.metadata.empty()) header[kMetadata] = file.metadata;
  std::size_t offset = 0;
  for (const auto& [name, tensor] : file.tensors) {
    const std::size_t end = offset + View(tensor).nbytes();
    header[name] = {{"dtype", row_of(tensor.dtype()).safetensors},
                    {"shape", tensor.shape()},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  const std::uint64_t size = text.size();
  std::string content(kLengthBytes, '\0');
  std::memcpy(content.data(), &size, kLengthBytes);
  content += text;
  for (const auto& [name, tensor] : file.tensors) {
    content.append(reinterpret_cast<const char*>(tensor.bytes()), View(tensor).nbytes());
  }
  return content;
}

std::string digest(const TensorFile& file) {
  Sha256 hash;
  const auto text = [&hash](std::string_view value) {
    hash.update(value.data(), value.size());
    hash.update("", 1);
  };
  for (const auto& [name, value] : file.metadata) text(name), text(value);
  for (const auto& [name, tensor] : file.tensors) {
    std::string shape;
    for (const std::int64_t axis : tensor.shape()) {
      shape += (shape.empty() ? "" : ",") + std::to_string(axis);
    }
    text(name), text(name_of(tensor.dtype())), text(shape);
    hash.update(tensor.bytes(), View(tensor).nbytes());
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
  write_atomically(path, format_tensors(file));
}

}  // namespace edgemeta
