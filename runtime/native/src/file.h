// Files, mapped for reading or read piece by piece.
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

// A regular file that stays open. Throws SM_BAD_FILE where there is none.
class OpenFile {
 public:
  explicit OpenFile(const std::string& path);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  const std::string& path() const { return path_; }
  // When it was opened.
  uint64_t size() const { return size_; }
  // How many bytes came, 0 at the end; what fails is a negative errno.
  int64_t read_some(uint64_t offset, uint8_t* target, size_t size) const;

 private:
  std::string path_;
  int number_ = -1;
  uint64_t size_ = 0;
};

// Whether there is such a file; also where it cannot be opened.
bool is_file(const std::string& path);

// Replaces a file in one step, so that a reader sees the old content or the new. Whether it could.
bool replace_file(const std::string& path, Bytes content);

}  // namespace smartmem
