// Bytes in memory of somebody else: the content of a file that has no path.

#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

namespace [[gnu::visibility("default")]] edgemeta {

/// A view of bytes, which have to outlive it. No constructor is implicit: a text is no content of a
/// file, but its path.
///
///     std::vector<std::uint8_t> asset = read_asset("manifest.json");
///     edgemeta::Bytes content(asset);
class Bytes {
 public:
  /// Nothing.
  Bytes() = default;

  Bytes(const void* data, std::size_t size)
      : data_(static_cast<const std::byte*>(data)), size_(size) {}

  /// Of a container that has its values in one piece, and values of one byte: a vector, an array, a
  /// string, a span.
  template <class Container, class = decltype(std::declval<const Container&>().data())>
  explicit Bytes(const Container& container) : Bytes(container.data(), container.size()) {
    static_assert(sizeof(*container.data()) == 1, "values of one byte are wanted");
  }

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  /// The same bytes as characters.
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace edgemeta
