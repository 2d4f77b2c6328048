#include "layout.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "arena.h"
#include "formats.h"

namespace smartmem {
namespace {

// Every device can allocate this much at once (maxMemoryAllocationSize, Vulkan 1.1).
constexpr uint64_t kWeightBufferBytes = uint64_t{1} << 30;
constexpr uint64_t kLeastAlignment = 16;
// Scratch memory may be larger by this part if fewer barriers are the gain. For MobileNetV2 it
// would be four times as large for no fewer.
constexpr uint64_t kMoreScratch = 8;

class Planner {
 public:
  Planner(const Schedule& schedule, const VkPhysicalDeviceLimits& limits,
          const std::vector<bool>& streamed, const FindNeeds& needs,
          const std::vector<uint32_t>& steps)
      : schedule_(schedule),
        limits_(limits),
        streamed_(streamed),
        needs_(needs),
        steps_(steps),
        alignment_(weight_alignment(limits)) {}

  Layout plan() {
    layout_.places.resize(schedule_.resources.size());
    plan_images();
    place_weights();
    place_in_line(ResourceKind::kInput, layout_.input_buffer(), layout_.input_bytes);
    place_in_line(ResourceKind::kOutput, layout_.output_buffer(), layout_.output_bytes);
    const Lives once = lives_in(schedule_.setup, in_order(schedule_.setup));
    put(once, place_blocks(values(once), alignment_), layout_.setup_buffer(), layout_.setup_bytes);
    place_call_scratch();
    for (const Command& command : schedule_.setup) check_command(command);
    for (const Command& command : schedule_.commands) check_command(command);
    layout_.setup_waves = plan_waves(touches(schedule_.setup, false));
    return std::move(layout_);
  }

 private:
  // What kernels see as images, and constants that anything needs in a buffer.
  void plan_images() {
    layout_.image_of.assign(schedule_.resources.size(), kNoImage);
    in_buffers_.assign(schedule_.resources.size(), false);
    for (const std::vector<Command>* commands : {&schedule_.setup, &schedule_.commands}) {
      for (const Command& command : *commands) {
        for (size_t i = 0; i < command.uses.size(); ++i) plan_use(command, i);
      }
    }
    for (const Port& port : schedule_.outputs) in_buffers_[port.resource] = true;
  }

  void plan_use(const Command& command, size_t number) {
    const uint32_t resource = command.uses[number].resource;
    if (command.kind != CommandKind::kDispatch) {
      in_buffers_[resource] = true;
      return;
    }
    const Binding& binding = schedule_.kernels[command.kernel].bindings[number];
    if (!is_image(binding.kind)) {
      in_buffers_[resource] = true;
      return;
    }
    const uint64_t row = uint64_t{binding.width} * texel_bytes(binding.format);
    const uint64_t size = schedule_.resources[resource].size;
    if (row == 0 || size % row != 0) fail(SM_BAD_FILE, "an image without whole rows");
    if (binding.width > limits_.maxImageDimension2D || size / row > limits_.maxImageDimension2D) {
      fail(SM_UNSUPPORTED, "a tensor is an image of ", binding.width, " x ", size / row,
           " texels, larger than the device allows");
    }
    const ImagePlan plan = {resource, binding.format, binding.width,
                            static_cast<uint32_t>(size / row)};
    if (schedule_.resources[resource].kind == ResourceKind::kTransient) {
      if (layout_.scratch_images.emplace(resource, plan).second) add_needs(plan);
      return;
    }
    if (streamed_[resource]) {
      layout_.streamed_images.emplace(resource, plan);
      return;
    }
    uint32_t& image = layout_.image_of[resource];
    if (image == kNoImage) {
      image = static_cast<uint32_t>(layout_.images.size());
      layout_.images.push_back(plan);
    } else if (layout_.images[image].width != plan.width ||
               layout_.images[image].format != plan.format) {
      fail(SM_BAD_FILE, "a weight that is an image of two kinds");
    }
  }

  // Between images and buffers no page of this size is shared.
  void add_needs(const ImagePlan& plan) {
    ImageNeeds needs = needs_(plan);
    const auto granularity = std::max<uint64_t>(limits_.bufferImageGranularity, 1);
    needs.alignment = std::max({needs.alignment, granularity, alignment_});
    needs.size = rounded(needs.size, std::max(granularity, alignment_));
    scratch_needs_.emplace(plan.resource, needs);
  }

  // The bytes of the arena that a resource takes.
  uint64_t arena_bytes(uint32_t number) const {
    const auto image = scratch_needs_.find(number);
    return image != scratch_needs_.end() ? image->second.size
                                         : rounded(schedule_.resources[number].size, alignment_);
  }

  void place_weights() {
    for (uint32_t i = 0; i < schedule_.resources.size(); ++i) {
      const Resource& resource = schedule_.resources[i];
      if (resource.kind != ResourceKind::kConstant || !in_buffers_[i] || streamed_[i]) continue;
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

  // Transient resources by number, each from the moment it is first used to the last.
  using Lives = std::map<uint32_t, Life>;
  using Moments = std::vector<uint32_t>;  // by command

  Lives lives_in(const std::vector<Command>& commands, const Moments& moments) const {
    Lives lives;
    for (uint32_t i = 0; i < commands.size(); ++i) {
      for (const Use& use : commands[i].uses) add_moment(lives, use.resource, moments[i]);
    }
    return lives;
  }

  // A result may lie in scratch memory, and is read after all commands.
  Lives lives_in_call(const Moments& moments) const {
    Lives lives = lives_in(schedule_.commands, moments);
    const auto end = static_cast<uint32_t>(schedule_.commands.size());
    for (const Port& port : schedule_.outputs) add_moment(lives, port.resource, end);
    return lives;
  }

  void add_moment(Lives& lives, uint32_t number, uint32_t moment) const {
    const Resource& resource = schedule_.resources[number];
    if (resource.kind != ResourceKind::kTransient) return;
    const auto image = scratch_needs_.find(number);
    const uint64_t alignment = image == scratch_needs_.end() ? 1 : image->second.alignment;
    const Life fresh{arena_bytes(number), moment, moment, alignment};
    Life& life = lives.try_emplace(number, fresh).first->second;
    life.first = std::min(life.first, moment);
    life.last = std::max(life.last, moment);
  }

  static Moments in_order(const std::vector<Command>& commands) {
    Moments moments(commands.size());
    std::iota(moments.begin(), moments.end(), 0);
    return moments;
  }

  static Moments in_waves(const std::vector<Wave>& waves, size_t commands) {
    Moments moments(commands);
    for (uint32_t wave = 0; wave < waves.size(); ++wave) {
      for (const uint32_t number : waves[wave]) moments[number] = wave;
    }
    return moments;
  }

  // Where scratch memory lies, and the waves that this allows.
  struct Scratch {
    Placement placement;
    std::vector<Wave> waves;

    bool operator<(const Scratch& other) const {
      return std::make_pair(waves.size(), placement.size) <
             std::make_pair(other.waves.size(), other.placement.size);
    }
  };

  // Memory that is shared by what lives at different times makes commands wait for one another
  // that else need not. Of these ways the one with the fewest waves is taken, if it takes little
  // more memory than the first: tensors share what no two commands need at once in the order of
  // the schedule; of that what no two of one wave need, as far as there is room; only the latter.
  void place_call_scratch() {
    const std::vector<Command>& commands = schedule_.commands;
    const std::vector<Wave> free = plan_waves(touches(commands, true));
    const Lives tight = lives_in_call(in_order(commands));
    const Lives loose = lives_in_call(in_waves(free, commands.size()));
    const std::vector<Life> blocks = values(tight), apart = values(loose);
    const Placement least = place_blocks(blocks, alignment_);
    const uint64_t most = least.size + least.size / kMoreScratch;
    std::vector<Scratch> ways = {in_program_order(tight, least)};
    for (const uint64_t limit : {least.size, most}) {
      const Wish wish{apart, limit};
      ways.push_back(in_program_order(tight, place_blocks(blocks, alignment_, &wish)));
    }
    if (steps_.empty()) ways.push_back({place_blocks(apart, alignment_), free});
    const auto is_large = [&](const Scratch& way) { return way.placement.size > most; };
    ways.erase(std::remove_if(ways.begin(), ways.end(), is_large), ways.end());
    Scratch& best = *std::min_element(ways.begin(), ways.end());
    put(tight, best.placement, layout_.transient_buffer(), layout_.transient_bytes);
    layout_.waves = std::move(best.waves);
  }

  Scratch in_program_order(const Lives& lives, const Placement& placement) {
    put(lives, placement, layout_.transient_buffer(), layout_.transient_bytes);
    const std::vector<std::vector<Touch>> touched = touches(schedule_.commands, false);
    return {placement, steps_.empty() ? plan_waves(touched) : waves_in_steps(touched)};
  }

  std::vector<Wave> waves_in_steps(const std::vector<std::vector<Touch>>& touched) const {
    std::vector<Wave> waves;
    for (size_t step = 0; step < steps_.size(); ++step) {
      const size_t end = step + 1 < steps_.size() ? steps_[step + 1] : touched.size();
      const auto first = touched.begin() + steps_[step];
      for (Wave& wave : plan_waves({first, touched.begin() + static_cast<int64_t>(end)})) {
        for (uint32_t& number : wave) number += steps_[step];
        waves.push_back(std::move(wave));
      }
    }
    return waves;
  }

  static std::vector<Life> values(const Lives& lives) {
    std::vector<Life> blocks;
    for (const auto& [resource, life] : lives) blocks.push_back(life);
    return blocks;
  }

  void put(const Lives& lives, const Placement& placement, uint32_t buffer, uint64_t& total) {
    size_t next = 0;
    for (const auto& [resource, life] : lives) {
      layout_.places[resource] = {buffer, placement.offsets[next++]};
    }
    total = placement.size;
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
      if (is_image(kernel.bindings[i].kind)) continue;
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

  // The bytes that commands touch; where scratch memory is `apart`, each transient resource has a
  // buffer of its own.
  std::vector<std::vector<Touch>> touches(const std::vector<Command>& commands, bool apart) const {
    std::vector<std::vector<Touch>> all;
    for (const Command& command : commands) {
      std::vector<Touch> touched;
      for (const Use& use : command.uses) {
        Place place = layout_.places[use.resource];
        if (apart && schedule_.resources[use.resource].kind == ResourceKind::kTransient) {
          place = {layout_.transient_buffer() + 1 + use.resource, 0};
        }
        // What is an image only, or streamed, is never written.
        if (place.buffer == kNoBuffer) continue;
        // Which bytes of an image hold what, only the device knows.
        const bool is_whole = scratch_needs_.count(use.resource) > 0;
        const uint64_t begin = place.offset + use.offset;
        const uint64_t end = is_whole ? begin + arena_bytes(use.resource) : begin + bound_bytes(use);
        touched.push_back({place.buffer, begin, end, use.writes});
      }
      all.push_back(std::move(touched));
    }
    return all;
  }

  const Schedule& schedule_;
  const VkPhysicalDeviceLimits& limits_;
  const std::vector<bool>& streamed_;  // by resource
  const FindNeeds& needs_;
  std::map<uint32_t, ImageNeeds> scratch_needs_;  // by resource
  const std::vector<uint32_t>& steps_;
  const uint64_t alignment_;
  std::vector<bool> in_buffers_;  // by resource
  Layout layout_;
};

}  // namespace

uint64_t weight_alignment(const VkPhysicalDeviceLimits& limits) {
  return std::max({kLeastAlignment, uint64_t{limits.minStorageBufferOffsetAlignment},
                   uint64_t{limits.minTexelBufferOffsetAlignment}});
}

std::vector<bool> streamable(const Schedule& schedule) {
  const size_t count = schedule.resources.size();
  std::vector<int> uploads(count, 0);
  std::vector<bool> fits(count, false);
  for (const Upload& upload : schedule.uploads) {
    uploads[upload.resource] += 1;
    fits[upload.resource] = !upload.key.empty() && upload.key_offset == 0 && upload.offset == 0 &&
                            upload.length == schedule.resources[upload.resource].size;
  }
  for (size_t i = 0; i < count; ++i) fits[i] = fits[i] && uploads[i] == 1;
  for (const Command& command : schedule.setup) {
    for (const Use& use : command.uses) fits[use.resource] = false;
  }
  for (const Port& port : schedule.outputs) fits[port.resource] = false;
  // As what kernels see each weight: an image of some kind, or (no format) a buffer.
  std::map<uint32_t, std::pair<uint32_t, uint32_t>> seen;
  for (const Command& command : schedule.commands) {
    for (size_t i = 0; i < command.uses.size(); ++i) {
      std::pair<uint32_t, uint32_t> kind = {0, 0};
      if (command.kind == CommandKind::kDispatch) {
        const Binding& binding = schedule.kernels[command.kernel].bindings[i];
        if (is_image(binding.kind)) kind = {binding.format, binding.width};
      }
      const uint32_t resource = command.uses[i].resource;
      if (seen.emplace(resource, kind).first->second != kind) fits[resource] = false;
    }
  }
  for (uint32_t i = 0; i < count; ++i) fits[i] = fits[i] && seen.count(i) > 0;
  return fits;
}

Layout lay_out(const Schedule& schedule, const VkPhysicalDeviceLimits& limits,
               const std::vector<bool>& streamed, const FindNeeds& needs,
               const std::vector<uint32_t>& steps) {
  return Planner(schedule, limits, streamed, needs, steps).plan();
}

}  // namespace smartmem
