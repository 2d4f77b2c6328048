#include "scratch.h"

#include <set>

namespace smartmem {

Scratch::Scratch(const DevicePtr& device, const Schedule& schedule, const Layout& layout,
                 const Row& row)
    : row_(row), begun_(row.commands.size()) {
  if (layout.transient_bytes == 0) return;
  buffer_ = std::make_unique<Buffer>(device, layout.transient_bytes, kCommandUsage, false);
  const VkMemoryRequirements needs = buffer_->needs();
  uint32_t type_bits = needs.memoryTypeBits;
  for (const auto& [resource, plan] : layout.scratch_images) {
    auto image = std::make_unique<Image>(device, plan, false, kScratchImage);
    type_bits &= image->needs().memoryTypeBits;
    images_.emplace(resource, std::move(image));
  }
  const std::optional<uint32_t> type = device->memory_type(type_bits, MemoryUse::kDevice);
  if (!type) {
    fail(SM_UNSUPPORTED, "the device has no memory that images and buffers can share; compile the ",
         "model with --storage buffer or texel");
  }
  memory_ = std::make_unique<Memory>(device, needs.size, *type);
  buffer_->bind(*memory_);
  for (const auto& [resource, image] : images_) {
    image->bind(*memory_, layout.places[resource].offset);
    spots_[resource] = {VK_NULL_HANDLE, 0, image->view(), VK_IMAGE_LAYOUT_GENERAL};
  }
  std::set<uint32_t> used;
  for (uint32_t place = 0; place < row.commands.size(); ++place) {
    for (const Use& use : schedule.commands[row.commands[place]].uses) {
      const auto image = images_.find(use.resource);
      if (image == images_.end() || !used.insert(use.resource).second) continue;
      begun_[place].push_back(image->second->handle());
    }
  }
}

const Spot* Scratch::spot(uint32_t resource) const {
  const auto found = spots_.find(resource);
  return found == spots_.end() ? nullptr : &found->second;
}

std::vector<VkImage> Scratch::begun(uint32_t place, uint32_t end) const {
  std::vector<VkImage> images;
  for (uint32_t next = place; next < end && row_.waves[next] == row_.waves[place]; ++next) {
    images.insert(images.end(), begun_[next].begin(), begun_[next].end());
  }
  return images;
}

}  // namespace smartmem
