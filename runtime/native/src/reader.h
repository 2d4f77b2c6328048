// Little-endian records out of bytes that nobody vouches for.
#pragma once

#include <cstring>
#include <string>

#include "error.h"
#include "file.h"

namespace smartmem {

// Whether [offset, offset + length) lies within `size`, without overflow.
inline bool is_within(uint64_t offset, uint64_t length, uint64_t size) {
  return offset <= size && length <= size - offset;
}

// A part of a file; reading outside it throws SM_BAD_FILE naming the file.
class Reader {
 public:
  Reader(Bytes bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  uint64_t size() const { return bytes_.size; }
  const std::string& name() const { return name_; }

  Bytes part(uint64_t offset, uint64_t length) const {
    if (!is_within(offset, length, bytes_.size)) fail(SM_BAD_FILE, name_, ": cut short");
    return {bytes_.data + offset, static_cast<size_t>(length)};
  }

  template <class Record>
  Record read(uint64_t offset) const {
    static_assert(std::is_trivially_copyable_v<Record>);
    Record record;
    std::memcpy(&record, part(offset, sizeof(Record)).data, sizeof(Record));
    return record;
  }

 private:
  Bytes bytes_;
  std::string name_;
};

}  // namespace smartmem
