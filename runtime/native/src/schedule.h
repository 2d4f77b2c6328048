// The schedule of a compiled model, as runtime/schedule.py writes it (docs/executor.md).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "sha256.h"

namespace smartmem {

constexpr uint32_t kNoResource = 0xFFFFFFFF;

enum class ResourceKind : uint32_t { kConstant, kInput, kOutput, kTransient };
enum class CommandKind : uint32_t { kDispatch, kFill, kCopy };

struct Resource {
  ResourceKind kind;
  uint64_t size;
};

// Bytes of a constant: of the archive's entry `key`, or, without a key, of the schedule's own data.
struct Upload {
  uint32_t resource;
  uint64_t offset;
  uint64_t length;
  uint64_t key_offset;
  std::string key;
};

struct Port {
  uint32_t resource;
  uint64_t offset;
  uint64_t length;
};

// How a kernel sees the bytes that it is given; kWrittenImage is an image that it stores texels in.
enum class BindingKind : uint32_t { kBuffer, kTexels, kImage, kWrittenImage };

inline bool is_image(BindingKind kind) {
  return kind == BindingKind::kImage || kind == BindingKind::kWrittenImage;
}

struct Binding {
  BindingKind kind;
  uint32_t format;  // of a texel, as Vulkan's VkFormat; 0 for a buffer
  uint32_t width;   // texels in a row of an image
};

struct Kernel {
  std::string file;
  std::string entry;
  std::vector<Binding> bindings;
  uint32_t push_words;
  uint32_t subgroup_size;
  Digest sha256;
};

struct Use {
  uint32_t resource;
  bool reads;
  bool writes;
  uint64_t offset;
  uint64_t length;
};

// A dispatch has one use per binding; a fill its target; a copy its source and its target.
struct Command {
  CommandKind kind;
  uint32_t kernel;
  std::array<uint32_t, 3> workgroups;
  uint32_t pattern;
  std::vector<Use> uses;
  std::vector<uint32_t> words;
};

// Set-up commands run once per loaded model: they compute constants from constants.
struct Schedule {
  std::vector<Resource> resources;
  std::vector<Upload> uploads;
  std::vector<uint8_t> data;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
  std::vector<Kernel> kernels;
  std::vector<Command> setup;
  std::vector<Command> commands;
};

// Reads a schedule and checks all that does not depend on a device: every reference, every range
// against its resource, and what a command may do to a resource. Throws SM_BAD_FILE.
Schedule parse_schedule(Bytes content, const std::string& name);

// The part of it that concerns images: which resources may be one, and that all commands agree.
void check_images(const Schedule& schedule, const std::string& name);

}  // namespace smartmem
