#include "archive.h"

#include "reader.h"

namespace smartmem {
namespace {

constexpr uint32_t kMagic = 0x41505249;  // "IRPA"
constexpr uint32_t kDataEntry = 2;

struct Range {
  uint64_t offset;
  uint64_t length;
};

struct Header {
  uint32_t magic;
  uint16_t major;
  uint16_t minor;
  uint64_t header_bytes;
  uint64_t next_header_offset;
  uint64_t flags;
  uint64_t entry_count;
  Range entries;
  Range metadata;
  Range storage;
};
static_assert(sizeof(Header) == 88);

// The file has no gap after `type`.
#pragma pack(push, 1)
struct EntryHeader {
  uint64_t entry_bytes;
  uint32_t type;
  uint64_t flags;
  Range name;      // in the metadata
  Range metadata;  // in the metadata
  uint64_t alignment;
};
#pragma pack(pop)
static_assert(sizeof(EntryHeader) == 60);

}  // namespace

Archive::Archive(const std::string& path) : path_(path), file_(path) {
  const Reader file(file_.bytes(), path);
  const auto header = file.read<Header>(0);
  if (header.magic != kMagic || header.major != 0 || header.next_header_offset != 0) {
    fail(SM_BAD_FILE, path, ": not a parameter archive of version 0");
  }
  const Reader table(file.part(header.entries.offset, header.entries.length), path);
  const Reader names(file.part(header.metadata.offset, header.metadata.length), path);
  const Reader storage(file.part(header.storage.offset, header.storage.length), path);
  uint64_t place = 0;
  for (uint64_t i = 0; i < header.entry_count; ++i) {
    const auto entry = table.read<EntryHeader>(place);
    if (entry.entry_bytes < sizeof(EntryHeader)) fail(SM_BAD_FILE, path, ": a damaged entry");
    if (entry.type == kDataEntry) {
      const auto range = table.read<Range>(place + sizeof(EntryHeader));
      const Bytes name = names.part(entry.name.offset, entry.name.length);
      entries_.emplace(std::string(reinterpret_cast<const char*>(name.data), name.size),
                       storage.part(range.offset, range.length));
    }
    place += table.part(place, entry.entry_bytes).size;
    place = (place + 15) / 16 * 16;
  }
}

Bytes Archive::entry(const std::string& key) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) fail(SM_BAD_FILE, path_, ": has no entry '", key, "'");
  return found->second;
}

}  // namespace smartmem
