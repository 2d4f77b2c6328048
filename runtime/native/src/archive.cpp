#include "archive.h"

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "crc32.h"
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

std::mutex hook_mutex;
sm_reader hook = nullptr;
void* hook_context = nullptr;

// As pread, but what fails is a negative errno.
int64_t read_some(const OpenFile& file, uint64_t offset, uint8_t* target, size_t size) {
  sm_reader reader = nullptr;
  void* context = nullptr;
  {
    const std::lock_guard<std::mutex> lock(hook_mutex);
    reader = hook;
    context = hook_context;
  }
  return reader == nullptr ? file.read_some(offset, target, size)
                           : reader(context, file.path().c_str(), offset, target, size);
}

// All of it, however small the steps; throws SM_BAD_FILE, `what` saying what was to be read.
template <class What>
void read_all(const OpenFile& file, uint64_t offset, uint8_t* target, size_t size, What what) {
  for (size_t done = 0; done < size;) {
    const int64_t count = read_some(file, offset + done, target + done, size - done);
    if (count == -EINTR) continue;
    if (count == 0) {
      fail(SM_BAD_FILE, file.path(), ": cut short: it ends before byte ", offset + size, what());
    }
    if (count < 0 || static_cast<uint64_t>(count) > size - done) {
      fail(SM_BAD_FILE, file.path(), ": bytes ", offset + done, " to ", offset + size,
           " cannot be read: ", std::strerror(static_cast<int>(-std::min<int64_t>(count, 0))),
           what());
    }
    done += static_cast<size_t>(count);
  }
}

std::vector<uint8_t> read_part(const OpenFile& file, Range range) {
  if (!is_within(range.offset, range.length, file.size())) {
    fail(SM_BAD_FILE, file.path(), ": cut short");
  }
  std::vector<uint8_t> content(range.length);
  read_all(file, range.offset, content.data(), content.size(), [] { return ""; });
  return content;
}

Bytes bytes_of(const std::vector<uint8_t>& content) { return {content.data(), content.size()}; }

// The checksums beside an entry: the size of a part, then one for each. None for other metadata.
std::vector<uint32_t> read_checksums(Bytes metadata, uint64_t entry_bytes) {
  const uint64_t parts = (entry_bytes + Archive::kPartBytes - 1) / Archive::kPartBytes;
  std::vector<uint32_t> words(metadata.size / sizeof(uint32_t));
  if (metadata.size != (parts + 1) * sizeof(uint32_t)) return {};
  std::memcpy(words.data(), metadata.data, metadata.size);
  if (words[0] != Archive::kPartBytes) return {};
  words.erase(words.begin());
  return words;
}

}  // namespace

void set_reader(sm_reader reader, void* context) {
  const std::lock_guard<std::mutex> lock(hook_mutex);
  hook = reader;
  hook_context = context;
}

Archive::Archive(const std::string& path) : file_(path) {
  const std::vector<uint8_t> head = read_part(file_, {0, sizeof(Header)});
  const auto header = Reader(bytes_of(head), path).read<Header>(0);
  if (header.magic != kMagic || header.major != 0 || header.next_header_offset != 0) {
    fail(SM_BAD_FILE, path, ": not a parameter archive of version 0");
  }
  const std::vector<uint8_t> rows = read_part(file_, header.entries);
  const std::vector<uint8_t> metadata = read_part(file_, header.metadata);
  const Reader table(bytes_of(rows), path);
  const Reader names(bytes_of(metadata), path);
  if (!is_within(header.storage.offset, header.storage.length, file_.size())) {
    fail(SM_BAD_FILE, path, ": cut short");
  }
  uint64_t place = 0;
  for (uint64_t i = 0; i < header.entry_count; ++i) {
    const auto row = table.read<EntryHeader>(place);
    if (row.entry_bytes < sizeof(EntryHeader)) fail(SM_BAD_FILE, path, ": a damaged entry");
    if (row.type == kDataEntry) {
      const auto range = table.read<Range>(place + sizeof(EntryHeader));
      if (!is_within(range.offset, range.length, header.storage.length)) {
        fail(SM_BAD_FILE, path, ": cut short");
      }
      const Bytes name = names.part(row.name.offset, row.name.length);
      Entry entry{{reinterpret_cast<const char*>(name.data), name.size},
                  header.storage.offset + range.offset,
                  range.length,
                  read_checksums(names.part(row.metadata.offset, row.metadata.length),
                                 range.length)};
      entries_.emplace(entry.key, entry);
    }
    place += table.part(place, row.entry_bytes).size;
    place = (place + 15) / 16 * 16;
  }
}

const Entry& Archive::entry(const std::string& key) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) fail(SM_BAD_FILE, path(), ": has no entry '", key, "'");
  return found->second;
}

void Archive::read(const Entry& entry, uint64_t offset, uint8_t* target, size_t size) const {
  read_all(file_, entry.offset + offset, target, size,
           [&] { return text(" (of the weight '", entry.key, "')"); });
}

void CheckedReader::read(uint8_t* target, size_t size) {
  archive_.read(entry_, done_, target, size);
  while (size > 0) {
    const uint64_t part = done_ / Archive::kPartBytes;
    const uint64_t end = std::min((part + 1) * Archive::kPartBytes, entry_.size);
    const auto count = static_cast<size_t>(std::min<uint64_t>(end - done_, size));
    crc_ = crc32(crc_, {target, count});
    target += count;
    size -= count;
    done_ += count;
    if (done_ < end) continue;
    if (crc_ != entry_.crcs[part]) {
      const uint64_t start = entry_.offset + part * Archive::kPartBytes;
      fail(SM_BAD_FILE, archive_.path(), ": bytes ", start, " to ", entry_.offset + end, " (chunk ",
           part, " of the weight '", entry_.key,
           "') are not what was written; the file is damaged or was replaced");
    }
    crc_ = 0;
  }
}

}  // namespace smartmem
