// IREE's parameter archive (.irpa), version 0: named entries of bytes in one file, which are read
// when they are wanted. runtime/archive.py writes it, with checksums beside each entry.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "file.h"
#include "smartmem.h"

namespace smartmem {

// What reads weights from now on; NULL is the system's own pread.
void set_reader(sm_reader reader, void* context);

// A part of the file, and the checksum of each of its parts of kPartBytes; none in archives that
// others wrote.
struct Entry {
  std::string key;
  uint64_t offset;
  uint64_t size;
  std::vector<uint32_t> crcs;
};

class Archive {
 public:
  static constexpr uint64_t kPartBytes = 1 << 20;

  // Reads the table of entries; throws SM_BAD_FILE for what is no such archive.
  explicit Archive(const std::string& path);

  const std::string& path() const { return file_.path(); }
  // The entry `key`; throws SM_BAD_FILE where there is none.
  const Entry& entry(const std::string& key) const;
  // Reads so many bytes of an entry, from `offset` in it on. Throws SM_BAD_FILE, naming file, place
  // and entry, where the file does not give them.
  void read(const Entry& entry, uint64_t offset, uint8_t* target, size_t size) const;

 private:
  OpenFile file_;
  std::unordered_map<std::string, Entry> entries_;
};

// Reads an entry from its start on, and compares each part of it with its checksum.
class CheckedReader {
 public:
  CheckedReader(const Archive& archive, const Entry& entry) : archive_(archive), entry_(entry) {}

  // The next bytes; throws SM_BAD_FILE where a part that ends in them is not what was written.
  void read(uint8_t* target, size_t size);

 private:
  const Archive& archive_;
  const Entry& entry_;
  uint64_t done_ = 0;
  uint32_t crc_ = 0;  // of the part that done_ lies in
};

}  // namespace smartmem
