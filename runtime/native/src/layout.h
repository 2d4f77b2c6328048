// Where the resources of a schedule lie in a device's buffers, and what that asks of the device.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "device.h"
#include "order.h"
#include "schedule.h"

namespace smartmem {

constexpr uint32_t kNoBuffer = 0xFFFFFFFF;
constexpr uint32_t kNoImage = 0xFFFFFFFF;

// A resource's place: a buffer by number, and the byte it starts at. Some have none: weights that
// are images, weights that are streamed, and what nothing uses.
struct Place {
  uint32_t buffer = kNoBuffer;
  uint64_t offset = 0;
};

// A tensor as an image: all its elements, row after row.
struct ImagePlan {
  uint32_t resource;
  uint32_t format;  // a VkFormat
  uint32_t width;   // in texels
  uint32_t height;
};

// What a device asks of the memory of an image.
struct ImageNeeds {
  uint64_t size;
  uint64_t alignment;
};
using FindNeeds = std::function<ImageNeeds(const ImagePlan&)>;

// Buffers by number: the weights' come first, then the scratch memory of set-up; the last three are
// each session's own. A size of 0 is no buffer.
struct Layout {
  std::vector<uint64_t> weight_buffers;
  uint64_t setup_bytes = 0;
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;
  uint64_t transient_bytes = 0;
  std::vector<Place> places;  // by resource
  std::vector<ImagePlan> images;
  std::vector<uint32_t> image_of;  // by resource: its image's number, or kNoImage
  std::map<uint32_t, ImagePlan> streamed_images;  // by resource; these are not in `images`
  // By resource: scratch memory that kernels write as images. Their places lie in the arena.
  std::map<uint32_t, ImagePlan> scratch_images;
  std::vector<Wave> setup_waves;
  std::vector<Wave> waves;

  uint32_t setup_buffer() const { return static_cast<uint32_t>(weight_buffers.size()); }
  uint32_t input_buffer() const { return setup_buffer() + 1; }
  uint32_t output_buffer() const { return input_buffer() + 1; }
  uint32_t transient_buffer() const { return input_buffer() + 2; }
};

// Lays a schedule out. Weights that are streamed, by resource, get no place: each session finds them
// theirs. `needs` says what images in scratch memory take. `steps`: the first command of each step,
// where steps are given that commands must keep to; then those of one step stand together in the row
// of all waves. Throws SM_UNSUPPORTED where the device's limits do not allow it.
Layout lay_out(const Schedule& schedule, const VkPhysicalDeviceLimits& limits,
               const std::vector<bool>& streamed, const FindNeeds& needs,
               const std::vector<uint32_t>& steps = {});

// What weights in buffers are aligned to.
uint64_t weight_alignment(const VkPhysicalDeviceLimits& limits);

// Which constants can be streamed: those that one entry of the archive fills, that only a call's
// commands read, and all of these in the same way.
std::vector<bool> streamable(const Schedule& schedule);

// What a descriptor covers of a use: whole words, since kernels read bytes by words.
inline uint64_t bound_bytes(const Use& use) { return (use.length + 3) / 4 * 4; }

}  // namespace smartmem
