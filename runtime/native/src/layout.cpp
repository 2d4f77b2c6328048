#include "layout.h"

#include <algorithm>

#include "arena.h"
#include "formats.h"

namespace smartmem {
namespace {

// Every device can allocate this much at once (maxMemoryAllocationSize, Vulkan 1.1).
constexpr uint64_t kWeightBufferBytes = uint64_t{1} << 30;
constexpr uint64_t kLeastAlignment = 16;

uint64_t rounded(uint64_t size, uint64_t alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

class Planner {
 public:
  Planner(const Schedule& schedule, const VkPhysicalDeviceLimits& limits)
      : schedule_(schedule),
        limits_(limits),
        alignment_(std::max({kLeastAlignment, uint64_t{limits.minStorageBufferOffsetAlignment},
                             uint64_t{limits.minTexelBufferOffsetAlignment}})) {}

  Layout plan() {
    layout_.places.resize(schedule_.resources.size());
    place_weights();
    place_in_line(ResourceKind::kInput, layout_.input_buffer(), layout_.input_bytes);
    place_in_line(ResourceKind::kOutput, layout_.output_buffer(), layout_.output_bytes);
    place_transients();
    for (const Command& command : schedule_.commands) check_command(command);
    layout_.waves = plan_waves(touches());
    return std::move(layout_);
  }

 private:
  void place_weights() {
    for (uint32_t i = 0; i < schedule_.resources.size(); ++i) {
      const Resource& resource = schedule_.resources[i];
      if (resource.kind != ResourceKind::kConstant) continue;
      const uint64_t size = rounded(resource.size, alignment_);
      auto& buffers = layout_.weight_buffers;
      if (buffers.empty() || buffers.back() + size > kWeightBufferBytes) buffers.push_back(0);
      layout_.places[i] = {static_cast<uint32_t>(buffers.size() - 1), buffers.back()};
      buffers.back() += size;
    }
  }

  void place_in_line(ResourceKind kind, uint32_t buffer, uint64_t& total) {
    for (uint32_t i = 0; i < schedule_.resources.size(); ++i) {
      if (schedule_.resources[i].kind != kind) continue;
      layout_.places[i] = {buffer, total};
      total += rounded(schedule_.resources[i].size, alignment_);
    }
  }

  void place_transients() {
    std::vector<uint32_t> numbers;
    std::vector<Life> lives;
    for (uint32_t i = 0; i < schedule_.resources.size(); ++i) {
      if (schedule_.resources[i].kind != ResourceKind::kTransient) continue;
      numbers.push_back(i);
      lives.push_back(life_of(i));
    }
    const Placement placement = place_blocks(lives, alignment_);
    for (size_t i = 0; i < numbers.size(); ++i) {
      layout_.places[numbers[i]] = {layout_.transient_buffer(), placement.offsets[i]};
    }
    layout_.transient_bytes = placement.size;
  }

  Life life_of(uint32_t resource) const {
    const auto last = static_cast<uint32_t>(schedule_.commands.size());
    Life life{rounded(schedule_.resources[resource].size, alignment_), last, 0};
    for (uint32_t i = 0; i < last; ++i) {
      for (const Use& use : schedule_.commands[i].uses) {
        if (use.resource != resource) continue;
        life.first = std::min(life.first, i);
        life.last = i;
      }
    }
    // A result may lie in it, and is read after all commands.
    for (const Port& port : schedule_.outputs) {
      if (port.resource == resource) life.last = last;
    }
    return life;
  }

  void check_command(const Command& command) const {
    const auto require = [&](bool condition, const char* what) {
      if (!condition) fail(SM_UNSUPPORTED, what);
    };
    if (command.kind != CommandKind::kDispatch) return;
    for (size_t i = 0; i < 3; ++i) {
      require(command.workgroups[i] <= limits_.maxComputeWorkGroupCount[i],
              "a dispatch has more workgroups than the device allows");
    }
    const Kernel& kernel = schedule_.kernels[command.kernel];
    for (size_t i = 0; i < command.uses.size(); ++i) {
      const Use& use = command.uses[i];
      const uint64_t offset = layout_.places[use.resource].offset + use.offset;
      if (kernel.bindings[i].kind == BindingKind::kTexels) {
        // A format that is not known has no bytes; making its pipeline says so.
        const uint32_t bytes = std::max(texel_bytes(kernel.bindings[i].format), 1U);
        require(offset % limits_.minTexelBufferOffsetAlignment == 0,
                "texels lie at an offset that the device cannot bind");
        require(use.length % bytes == 0 && use.length / bytes <= limits_.maxTexelBufferElements,
                "a tensor has more texels than the device can bind, or a part of one");
        continue;
      }
      require(offset % std::max<uint64_t>(4, limits_.minStorageBufferOffsetAlignment) == 0,
              "a tensor lies at an offset that the device cannot bind");
      require(bound_bytes(use) <= limits_.maxStorageBufferRange,
              "a tensor is larger than what the device can bind");
    }
  }

  std::vector<std::vector<Touch>> touches() const {
    std::vector<std::vector<Touch>> all;
    for (const Command& command : schedule_.commands) {
      std::vector<Touch> touched;
      for (const Use& use : command.uses) {
        const Place& place = layout_.places[use.resource];
        const uint64_t begin = place.offset + use.offset;
        touched.push_back({place.buffer, begin, begin + bound_bytes(use), use.writes});
      }
      all.push_back(std::move(touched));
    }
    return all;
  }

  const Schedule& schedule_;
  const VkPhysicalDeviceLimits& limits_;
  const uint64_t alignment_;
  Layout layout_;
};

}  // namespace

Layout lay_out(const Schedule& schedule, const VkPhysicalDeviceLimits& limits) {
  return Planner(schedule, limits).plan();
}

}  // namespace smartmem
