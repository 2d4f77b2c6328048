#include "file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "error.h"

namespace smartmem {
namespace {

// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

bool write_all(int descriptor, Bytes content) {
  for (size_t done = 0; done < content.size;) {
    const ssize_t count = write(descriptor, content.data + done, content.size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

// Of an open file; throws SM_BAD_FILE for what is no file.
uint64_t size_of(int descriptor, const std::string& path) {
  struct stat status = {};
  if (descriptor < 0 || fstat(descriptor, &status) != 0) {
    fail(SM_BAD_FILE, path, ": ", std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) fail(SM_BAD_FILE, path, ": not a file");
  return static_cast<uint64_t>(status.st_size);
}

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const auto size = static_cast<size_t>(size_of(file.number(), path));
  if (size == 0) return;
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (data == MAP_FAILED) fail(SM_BAD_FILE, path, ": ", std::strerror(errno));
  bytes_ = {static_cast<const uint8_t*>(data), size};
}

MappedFile::~MappedFile() {
  if (bytes_.data != nullptr) munmap(const_cast<uint8_t*>(bytes_.data), bytes_.size);
}

OpenFile::OpenFile(const std::string& path)
    : path_(path), number_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  try {
    size_ = size_of(number_, path);
  } catch (...) {
    if (number_ >= 0) close(number_);
    throw;
  }
}

OpenFile::~OpenFile() { close(number_); }

int64_t OpenFile::read_some(uint64_t offset, uint8_t* target, size_t size) const {
  const ssize_t count = pread(number_, target, size, static_cast<off_t>(offset));
  return count < 0 ? -errno : count;
}

bool is_file(const std::string& path) {
  const int number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (number < 0) return errno != ENOENT;
  ::close(number);
  return true;
}

bool replace_file(const std::string& path, Bytes content) {
  std::string partial = path + ".XXXXXX";
  bool written = false;
  {
    const Descriptor file(mkstemp(partial.data()));
    if (file.number() < 0) return false;
    written = write_all(file.number(), content);
  }
  if (written && std::rename(partial.c_str(), path.c_str()) == 0) return true;
  unlink(partial.c_str());
  return false;
}

}  // namespace smartmem
