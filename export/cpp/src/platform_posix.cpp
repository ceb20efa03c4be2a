#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <random>
#include <system_error>
#include <utility>

#include "edgemeta/error.hpp"
#include "invalid.hpp"
#include "platform.hpp"
#include "sizes.hpp"

namespace edgemeta {
namespace {

namespace fs = std::filesystem;

const std::string kPart = ".part";  // how the names of temporary files end, as in Python

[[noreturn]] void fail() {
  throw std::system_error(errno, std::generic_category());
}

/// An open file, which no program started meanwhile inherits.
class File {
 public:
  File(const fs::path& path, int flags)
      : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (descriptor_ < 0) fail();
  }
  ~File() { ::close(descriptor_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int descriptor() const { return descriptor_; }

  struct stat status() const {
    struct stat found = {};
    if (::fstat(descriptor_, &found) != 0) fail();
    return found;
  }

  void sync() const {
    if (::fsync(descriptor_) != 0) fail();
  }

 private:
  int descriptor_;
};

std::string read_all(const File& file, std::size_t size) {
  std::string content(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(file.descriptor(), content.data() + done, size - done);
    if (got < 0 && errno != EINTR) fail();
    if (got == 0) break;  // it became shorter: whoever checks size or hash will notice
    if (got > 0) done += static_cast<std::size_t>(got);
  }
  content.resize(done);
  return content;
}

void write_all(const File& file, std::string_view content) {
  while (!content.empty()) {
    const ssize_t put = ::write(file.descriptor(), content.data(), content.size());
    if (put < 0 && errno != EINTR) fail();
    if (put > 0) content.remove_prefix(static_cast<std::size_t>(put));
  }
}

/// How the names of temporary files for `path` begin.
std::string beginning(const fs::path& path) {
  return "." + path.filename().string() + ".";
}

fs::path temporary_name(const fs::path& path) {
  std::random_device random;
  std::string name = beginning(path);
  for (int i = 0; i < 16; ++i) name += "0123456789abcdef"[random() & 15];
  return path.parent_path() / (name + kPart);
}

/// Removes the temporary files of writers of `path` that were killed: those in use are locked.
void remove_abandoned(const fs::path& path, const fs::path& directory) {
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    const bool ours = name.rfind(beginning(path), 0) == 0 && name.size() > kPart.size() &&
                      name.compare(name.size() - kPart.size(), kPart.size(), kPart) == 0;
    if (!ours) continue;
    try {
      const File file(entry.path(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      if (::flock(file.descriptor(), LOCK_EX | LOCK_NB) == 0) fs::remove(entry.path());
    } catch (const std::system_error&) {
      // It is gone by now, or not ours to remove.
    }
  }
}

void write_through_temporary(const fs::path& path, const std::vector<std::string_view>& pieces) {
  const fs::path directory = path.has_parent_path() ? path.parent_path() : fs::path(".");
  remove_abandoned(path, directory);
  while (true) {
    const fs::path temporary = temporary_name(path);
    const File file(temporary, O_WRONLY | O_CREAT | O_EXCL);
    // Locked for as long as it is in use; a file system without locks lets everybody in.
    static_cast<void>(::flock(file.descriptor(), LOCK_EX));
    if (file.status().st_nlink == 0) continue;  // another writer took it for abandoned before
    try {
      for (const std::string_view piece : pieces) write_all(file, piece);
      file.sync();
      fs::rename(temporary, path);
    } catch (...) {
      std::error_code ignored;
      fs::remove(temporary, ignored);
      throw;
    }
    File(directory, O_RDONLY).sync();  // so that the renaming survives a power cut
    return;
  }
}

}  // namespace

std::optional<std::string> read_regular(const fs::path& path, std::uint64_t most, bool follow) {
  try {
    if (!follow && fs::is_symlink(path)) throw Invalid("a symbolic link");
    // A pipe without a writer would block the opening.
    const File file(path, O_RDONLY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW));
    const struct stat status = file.status();
    if (!S_ISREG(status.st_mode)) throw Invalid("not a regular file");
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size > most) return std::nullopt;
    if (size > kMostInMemory) throw Invalid("more bytes than memory can hold");
    return read_all(file, static_cast<std::size_t>(size));
  } catch (const std::system_error& error) {
    throw Invalid(error.code().message());
  }
}

void write_atomically(const fs::path& path, const std::vector<std::string_view>& pieces) {
  try {
    write_through_temporary(path, pieces);
  } catch (const std::system_error& error) {
    throw Error(Error::Kind::failure, "cannot write " + path.string(), error.code().message(), "",
                "check that the directory exists, is writable and has room");
  }
}

void set_default(const char* name, const char* value) {
  static_cast<void>(::setenv(name, value, 0));
}

}  // namespace edgemeta
