// Device memory of streamed weights under a plan: those that stay, and the arena of the others.
#pragma once

#include <memory>
#include <vector>

#include "commands.h"
#include "images.h"
#include "stream_set.h"

namespace smartmem {

// Something to be read: a weight that stays, once, or one for its stay in the arena, in each call.
struct StreamLoad {
  const Entry* entry;
  bool is_pinned;
  uint32_t start;    // as in Stay; where it is pinned `first`
  uint32_t first;    // the step that needs it
  int64_t release;   // as in Stay; nothing to wait for where it is pinned
  VkBuffer buffer;   // where it goes: a buffer, or
  uint64_t offset;
  uint8_t* mapped;   // (that place, where the host can write it)
  const Image* image;
};

class Slots {
 public:
  // Throws SM_OUT_OF_MEMORY, SM_UNSUPPORTED where images and buffers cannot lie in one memory.
  Slots(const DevicePtr& device, const Layout& layout, const StreamSet& set,
        const StreamPlan& plan);

  // In the order of reading.
  const std::vector<StreamLoad>& loads() const { return loads_; }
  // Where a command, by its place in the order, finds a weight.
  const Spot& spot(uint32_t place, uint32_t weight) const;
  // What was allocated.
  uint64_t pinned_bytes() const { return pinned_bytes_; }
  uint64_t arena_bytes() const { return arena_bytes_; }

 private:
  void place_pinned(const Layout& layout, const StreamSet& set, const StreamPlan& plan);
  void make_arena(const Layout& layout, const StreamSet& set, const StreamPlan& plan);

  DevicePtr device_;
  std::vector<uint32_t> steps_;
  std::vector<std::unique_ptr<Buffer>> pinned_buffers_;
  std::unique_ptr<Images> pinned_images_;
  std::unique_ptr<Memory> arena_memory_;
  std::unique_ptr<Buffer> arena_;
  std::vector<std::unique_ptr<Image>> arena_images_;
  uint64_t pinned_bytes_ = 0;
  uint64_t arena_bytes_ = 0;
  struct Visit {
    uint32_t first;
    uint32_t last;
    Spot spot;
  };
  std::vector<std::vector<Visit>> visits_;  // by weight
  std::vector<StreamLoad> loads_;
};

}  // namespace smartmem
