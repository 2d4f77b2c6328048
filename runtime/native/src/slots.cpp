#include "slots.h"

#include <algorithm>

namespace smartmem {
namespace {

// Every device can allocate this much at once.
constexpr uint64_t kBufferBytes = uint64_t{1} << 30;
constexpr uint32_t kForEver = 0xFFFFFFFF;

MemoryUse use_on(const Device& device) {
  return device.shares_host_memory() ? MemoryUse::kShared : MemoryUse::kDevice;
}

const ImagePlan* image_of(const Layout& layout, uint32_t resource) {
  const auto found = layout.streamed_images.find(resource);
  return found == layout.streamed_images.end() ? nullptr : &found->second;
}

}  // namespace

Slots::Slots(const DevicePtr& device, const Layout& layout, const StreamSet& set,
             const StreamPlan& plan)
    : device_(device), steps_(plan.steps), visits_(set.resources.size()) {
  place_pinned(layout, set, plan);
  if (!plan.stays.empty()) make_arena(layout, set, plan);
  std::stable_sort(loads_.begin(), loads_.end(), [](const StreamLoad& a, const StreamLoad& b) {
    return a.start < b.start;
  });
}

const Spot& Slots::spot(uint32_t place, uint32_t weight) const {
  const auto after = std::upper_bound(steps_.begin(), steps_.end(), place);
  const auto step = static_cast<uint32_t>(after - steps_.begin() - 1);
  for (const Visit& visit : visits_[weight]) {
    if (visit.first <= step && step <= visit.last) return visit.spot;
  }
  fail(SM_DEVICE_FAILED, "command ", place, " reads a weight that the plan does not load");
}

void Slots::place_pinned(const Layout& layout, const StreamSet& set, const StreamPlan& plan) {
  struct Place {
    uint32_t weight;
    size_t buffer;
    uint64_t offset;
  };
  std::vector<Place> places;
  std::vector<uint64_t> sizes;
  std::vector<ImagePlan> images;
  std::vector<uint32_t> image_weights;
  for (const uint32_t weight : plan.pinned) {
    if (const ImagePlan* image = image_of(layout, set.resources[weight])) {
      images.push_back(*image);
      image_weights.push_back(weight);
      continue;
    }
    const uint64_t bytes = set.problem.weights[weight].bytes;
    if (sizes.empty() || sizes.back() + bytes > kBufferBytes) sizes.push_back(0);
    places.push_back({weight, sizes.size() - 1, sizes.back()});
    sizes.back() += bytes;
  }
  for (const uint64_t size : sizes) {
    pinned_buffers_.push_back(
        std::make_unique<Buffer>(device_, size, kCommandUsage, use_on(*device_), true));
    pinned_bytes_ += size;
  }
  pinned_images_ = std::make_unique<Images>(device_, images, true);
  pinned_bytes_ += pinned_images_->bytes();
  const auto first_step = [&](uint32_t weight) {
    const uint32_t place = set.problem.weights[weight].uses.front();
    const auto after = std::upper_bound(steps_.begin(), steps_.end(), place);
    return static_cast<uint32_t>(after - steps_.begin() - 1);
  };
  for (const Place& place : places) {
    const Buffer& buffer = *pinned_buffers_[place.buffer];
    uint8_t* mapped = buffer.mapped() == nullptr ? nullptr : buffer.mapped() + place.offset;
    visits_[place.weight].push_back({0, kForEver, {buffer.handle(), place.offset}});
    const uint32_t first = first_step(place.weight);
    loads_.push_back({set.entries[place.weight], true, first, first, 0, buffer.handle(),
                      place.offset, mapped, nullptr});
  }
  for (size_t i = 0; i < images.size(); ++i) {
    const Image& image = (*pinned_images_)[i];
    const uint32_t weight = image_weights[i];
    visits_[weight].push_back({0, kForEver, {VK_NULL_HANDLE, 0, image.view()}});
    const uint32_t first = first_step(weight);
    loads_.push_back({set.entries[weight], true, first, first, 0, VK_NULL_HANDLE, 0, nullptr,
                      &image});
  }
}

void Slots::make_arena(const Layout& layout, const StreamSet& set, const StreamPlan& plan) {
  arena_ = std::make_unique<Buffer>(device_, plan.arena_bytes, kCommandUsage, true);
  const VkMemoryRequirements needs = arena_->needs();
  uint32_t type_bits = needs.memoryTypeBits;
  for (const Stay& stay : plan.stays) {
    const ImagePlan* image = image_of(layout, set.resources[stay.weight]);
    arena_images_.push_back(image == nullptr ? nullptr
                                             : std::make_unique<Image>(device_, *image, true));
    if (image != nullptr) type_bits &= arena_images_.back()->needs().memoryTypeBits;
  }
  std::optional<uint32_t> type = device_->memory_type(type_bits, use_on(*device_));
  const bool is_mapped = device_->shares_host_memory() && type;
  if (!type) type = device_->memory_type(type_bits, MemoryUse::kDevice);
  if (!type) {
    fail(SM_UNSUPPORTED, "the device has no memory that images and buffers can share, so that ",
         "weights cannot be streamed; load the model without a budget");
  }
  arena_bytes_ = needs.size;
  arena_memory_ = std::make_unique<Memory>(device_, arena_bytes_, *type);
  arena_->bind(*arena_memory_);
  uint8_t* mapped = is_mapped ? arena_memory_->map() : nullptr;
  for (size_t i = 0; i < plan.stays.size(); ++i) {
    const Stay& stay = plan.stays[i];
    StreamLoad load = {set.entries[stay.weight], false, stay.start, stay.first, stay.release,
                       VK_NULL_HANDLE, 0, nullptr, arena_images_[i].get()};
    if (load.image != nullptr) {
      arena_images_[i]->bind(*arena_memory_, stay.offset);
      visits_[stay.weight].push_back(
          {stay.first, stay.last, {VK_NULL_HANDLE, 0, load.image->view()}});
    } else {
      load.buffer = arena_->handle();
      load.offset = stay.offset;
      if (mapped != nullptr) load.mapped = mapped + stay.offset;
      visits_[stay.weight].push_back({stay.first, stay.last, {load.buffer, load.offset}});
    }
    loads_.push_back(load);
  }
}

}  // namespace smartmem
