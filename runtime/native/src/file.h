// Files, mapped for reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace smartmem {

// Bytes that somebody else owns.
struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

// A file's content for as long as this lives. Throws SM_BAD_FILE where it cannot be read.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  Bytes bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

// Replaces a file in one step, so that a reader sees the old content or the new. Whether it could.
bool replace_file(const std::string& path, Bytes content);

}  // namespace smartmem
