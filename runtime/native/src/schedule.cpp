#include "schedule.h"

#include <cstring>
#include <set>

#include "reader.h"

namespace smartmem {
namespace {

constexpr char kMagic[8] = {'S', 'M', 'S', 'C', 'H', 'E', 'D', '\0'};
constexpr uint32_t kVersion = 5;
// More resources, commands or bytes than any real model has: sums of them stay far from overflow.
constexpr uint64_t kMaxRecords = 1 << 24;
constexpr uint64_t kMaxBytes = uint64_t{1} << 48;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t sections;
  uint64_t file_bytes;
  Digest digest;
  uint64_t reserved;
};
static_assert(sizeof(Header) == 64);

struct SectionEntry {
  uint32_t id;
  uint32_t record_bytes;
  uint64_t offset;
  uint64_t count;
};

struct ResourceRecord {
  uint32_t kind;
  uint32_t reserved;
  uint64_t size;
};

struct UploadRecord {
  uint32_t resource;
  uint32_t source;
  uint64_t offset;
  uint64_t length;
  uint64_t key_offset;
  uint32_t key_text;
  uint32_t key_length;
};
constexpr uint32_t kFromData = 1;

struct PortRecord {
  uint32_t direction;
  uint32_t resource;
  uint64_t offset;
  uint64_t length;
};

struct KernelRecord {
  uint32_t file_text;
  uint32_t file_length;
  uint32_t entry_text;
  uint32_t entry_length;
  uint32_t binding_count;
  uint32_t push_words;
  uint32_t subgroup_size;
  uint32_t first_binding;
  Digest sha256;
};

struct CommandRecord {
  uint32_t kind;
  uint32_t kernel;
  uint32_t workgroups[3];
  uint32_t first_use;
  uint32_t use_count;
  uint32_t first_word;
  uint32_t words_or_pattern;
  uint32_t reserved;
};
static_assert(sizeof(CommandRecord) == 40);

struct BindingRecord {
  uint32_t kind;
  uint32_t format;
  uint32_t width;
};

struct UseRecord {
  uint32_t resource;
  uint32_t access;
  uint64_t offset;
  uint64_t length;
};

enum Section : uint32_t {
  kText = 1,
  kResources,
  kUploads,
  kPorts,
  kKernels,
  kCommands,
  kUses,
  kWords,
  kBindings,
  kSetup,
  kData,
  kSectionEnd
};

// The sections of a file whose header is right.
class Sections {
 public:
  Sections(Bytes content, const std::string& name) : file_(content, name) {
    const auto header = file_.read<Header>(0);
    if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) {
      fail(SM_BAD_FILE, name, ": not a schedule");
    }
    if (header.version != kVersion) {
      fail(SM_BAD_FILE, name, ": a schedule of version ", header.version,
           ", but this library reads ", kVersion);
    }
    if (header.file_bytes != content.size || header.sections != kSectionEnd - 1) {
      fail(SM_BAD_FILE, name, ": cut short or too long");
    }
    const Bytes hashed = file_.part(sizeof(Header), content.size - sizeof(Header));
    if (sha256(hashed) != header.digest) {
      fail(SM_BAD_FILE, name, ": its hash differs; the file is damaged");
    }
    for (uint32_t id = kText; id < kSectionEnd; ++id) {
      entries_[id] = file_.read<SectionEntry>(sizeof(Header) + (id - 1) * sizeof(SectionEntry));
      if (entries_[id].id != id) fail(SM_BAD_FILE, name, ": its sections are out of order");
    }
  }

  // All records of a section.
  template <class Record>
  std::vector<Record> rows(Section id) const {
    const SectionEntry& entry = entries_[id];
    if (entry.record_bytes != sizeof(Record) || entry.count > kMaxRecords) {
      fail(SM_BAD_FILE, file_.name(), ": section ", id, " has records of another size");
    }
    const Bytes bytes = file_.part(entry.offset, entry.count * sizeof(Record));
    std::vector<Record> rows(entry.count);
    if (bytes.size > 0) std::memcpy(rows.data(), bytes.data, bytes.size);
    return rows;
  }

 private:
  Reader file_;
  SectionEntry entries_[kSectionEnd];
};

// Turns records into the schedule, checking each against what it points at.
class Builder {
 public:
  Builder(const Sections& sections, const std::string& name)
      : name_(name),
        text_(sections.rows<char>(kText)),
        uses_(sections.rows<UseRecord>(kUses)),
        words_(sections.rows<uint32_t>(kWords)),
        bindings_(sections.rows<BindingRecord>(kBindings)) {
    schedule_.data = sections.rows<uint8_t>(kData);
    for (const auto& row : sections.rows<ResourceRecord>(kResources)) add(row);
    for (const auto& row : sections.rows<UploadRecord>(kUploads)) add(row);
    for (const auto& row : sections.rows<PortRecord>(kPorts)) add(row);
    for (const auto& row : sections.rows<KernelRecord>(kKernels)) add(row);
    for (const auto& row : sections.rows<CommandRecord>(kSetup)) add_setup(row);
    for (const auto& row : sections.rows<CommandRecord>(kCommands)) add(row);
    for (const Port& port : schedule_.outputs) {
      require(setup_scratch_.count(port.resource) == 0, "an output that only set-up knows");
    }
    check_images(schedule_, name);
  }

  Schedule take() { return std::move(schedule_); }

 private:
  void require(bool condition, const char* what) const {
    if (!condition) fail(SM_BAD_FILE, name_, ": ", what);
  }

  const Resource& resource(uint32_t number) const {
    require(number < schedule_.resources.size(), "a resource that does not exist");
    return schedule_.resources[number];
  }

  void require_range(uint32_t number, uint64_t offset, uint64_t length) const {
    require(is_within(offset, length, resource(number).size), "a range outside its resource");
  }

  std::string say(uint32_t offset, uint32_t length) const {
    require(is_within(offset, length, text_.size()), "a text that does not exist");
    const std::string said(text_.data() + offset, length);
    require(said.find('\0') == std::string::npos, "a text with a zero byte");
    return said;
  }

  void add(const ResourceRecord& row) {
    require(row.kind <= static_cast<uint32_t>(ResourceKind::kTransient), "an unknown resource");
    require(row.size > 0 && row.size <= kMaxBytes, "a resource of no or absurd size");
    schedule_.resources.push_back({static_cast<ResourceKind>(row.kind), row.size});
  }

  void add(const UploadRecord& row) {
    require_range(row.resource, row.offset, row.length);
    require(resource(row.resource).kind == ResourceKind::kConstant, "an upload to no constant");
    require(row.source <= kFromData, "an upload from an unknown source");
    const bool is_inline = row.source == kFromData;
    const std::string key = is_inline ? "" : say(row.key_text, row.key_length);
    require(is_inline || !key.empty(), "an upload without a name");
    require(!is_inline || is_within(row.key_offset, row.length, schedule_.data.size()),
            "data that does not exist");
    schedule_.uploads.push_back({row.resource, row.offset, row.length, row.key_offset, key});
  }

  void add(const PortRecord& row) {
    require(row.direction <= 1, "a port of unknown direction");
    const bool is_input = row.direction == 0;
    if (is_input && row.resource == kNoResource) {
      require(row.offset == 0 && row.length == 0, "an unused input with bytes");
    } else {
      require_range(row.resource, row.offset, row.length);
      require(!is_input || resource(row.resource).kind == ResourceKind::kInput,
              "an input that lies in no input");
    }
    auto& ports = is_input ? schedule_.inputs : schedule_.outputs;
    ports.push_back({row.resource, row.offset, row.length});
  }

  void add(const KernelRecord& row) {
    Kernel kernel{say(row.file_text, row.file_length),
                  say(row.entry_text, row.entry_length),
                  {},
                  row.push_words,
                  row.subgroup_size,
                  row.sha256};
    require(is_within(row.first_binding, row.binding_count, bindings_.size()),
            "bindings that do not exist");
    for (uint32_t i = 0; i < row.binding_count; ++i) {
      const BindingRecord& binding = bindings_[row.first_binding + i];
      require(binding.kind <= static_cast<uint32_t>(BindingKind::kWrittenImage),
              "an unknown binding");
      kernel.bindings.push_back(
          {static_cast<BindingKind>(binding.kind), binding.format, binding.width});
    }
    // A name, not a path: nothing outside the kernels' folder is opened.
    require(!kernel.file.empty() && kernel.file.find('/') == std::string::npos &&
                kernel.file != "." && kernel.file != "..",
            "a kernel in no plain file");
    schedule_.kernels.push_back(std::move(kernel));
  }

  Use use(const UseRecord& row) const {
    require(row.access >= 1 && row.access <= 3, "a use of unknown kind");
    require_range(row.resource, row.offset, row.length);
    require(row.length > 0, "a use of no bytes");
    const Use found{row.resource, (row.access & 1) != 0, (row.access & 2) != 0, row.offset,
                    row.length};
    require(!found.writes || resource(row.resource).kind != ResourceKind::kInput,
            "a write to an input");
    return found;
  }

  // Set-up knows neither inputs nor outputs, and its scratch memory is its own.
  void add_setup(const CommandRecord& row) {
    schedule_.setup.push_back(command(row));
    for (const Use& use : schedule_.setup.back().uses) {
      const ResourceKind kind = resource(use.resource).kind;
      require(kind == ResourceKind::kConstant || kind == ResourceKind::kTransient,
              "a set-up that uses inputs or outputs");
      if (kind == ResourceKind::kTransient) setup_scratch_.insert(use.resource);
    }
  }

  void add(const CommandRecord& row) {
    schedule_.commands.push_back(command(row));
    for (const Use& use : schedule_.commands.back().uses) {
      require(!use.writes || resource(use.resource).kind != ResourceKind::kConstant,
              "a write to a constant");
      require(setup_scratch_.count(use.resource) == 0, "a use of what only set-up knows");
    }
  }

  Command command(const CommandRecord& row) const {
    require(row.kind <= static_cast<uint32_t>(CommandKind::kCopy), "an unknown command");
    require(is_within(row.first_use, row.use_count, uses_.size()), "uses that do not exist");
    Command command{static_cast<CommandKind>(row.kind),
                    row.kernel,
                    {row.workgroups[0], row.workgroups[1], row.workgroups[2]},
                    row.words_or_pattern,
                    {},
                    {}};
    for (uint32_t i = 0; i < row.use_count; ++i) {
      command.uses.push_back(use(uses_[row.first_use + i]));
    }
    switch (command.kind) {
      case CommandKind::kDispatch:
        finish_dispatch(row, command);
        break;
      case CommandKind::kFill:
        check_fill(command);
        break;
      case CommandKind::kCopy:
        check_copy(command);
        break;
    }
    return command;
  }

  void finish_dispatch(const CommandRecord& row, Command& command) const {
    require(row.kernel < schedule_.kernels.size(), "a kernel that does not exist");
    const Kernel& kernel = schedule_.kernels[row.kernel];
    require(row.use_count == kernel.bindings.size(),
            "a dispatch without all its kernel's bindings");
    for (size_t i = 0; i < kernel.bindings.size(); ++i) {
      const Use& use = command.uses[i];
      const BindingKind kind = kernel.bindings[i].kind;
      const bool is_written = kind == BindingKind::kWrittenImage;
      require(kind == BindingKind::kBuffer || use.writes == is_written, "texels that are written");
      require(!is_written || !use.reads, "an image that is read as it is written");
    }
    require(row.words_or_pattern == kernel.push_words, "a dispatch with other push constants");
    require(is_within(row.first_word, row.words_or_pattern, words_.size()),
            "push constants that do not exist");
    const auto first = words_.begin() + row.first_word;
    command.words.assign(first, first + row.words_or_pattern);
  }

  // vkCmdFillBuffer and vkCmdCopyBuffer: whole words, and no overlap of source and target.
  void check_fill(const Command& command) const {
    require(command.uses.size() == 1 && command.uses[0].writes, "a fill without a target");
    require(command.uses[0].offset % 4 == 0 && command.uses[0].length % 4 == 0,
            "a fill of broken words");
  }

  void check_copy(const Command& command) const {
    require(command.uses.size() == 2 && command.uses[0].reads && command.uses[1].writes,
            "a copy without source and target");
    const Use &source = command.uses[0], &target = command.uses[1];
    require(source.length == target.length, "a copy between ranges of unequal size");
    require(source.resource != target.resource || source.offset + source.length <= target.offset ||
                target.offset + target.length <= source.offset,
            "a copy of a range to itself");
  }

  const std::string& name_;
  std::vector<char> text_;
  std::vector<UseRecord> uses_;
  std::vector<uint32_t> words_;
  std::vector<BindingRecord> bindings_;
  std::set<uint32_t> setup_scratch_;
  Schedule schedule_;
};

}  // namespace

Schedule parse_schedule(Bytes content, const std::string& name) {
  return Builder(Sections(content, name), name).take();
}

}  // namespace smartmem
