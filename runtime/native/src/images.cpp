#include "images.h"

#include "formats.h"

namespace smartmem {
namespace {

// As for buffers of weights: what every device can allocate at once.
constexpr uint64_t kMostBytes = uint64_t{1} << 30;

}  // namespace

Image::Image(DevicePtr device, const ImagePlan& plan, bool is_shared, VkImageUsageFlags usage)
    : device_(std::move(device)), plan_(plan) {
  VkImageCreateInfo info = {VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO};
  info.imageType = VK_IMAGE_TYPE_2D;
  info.format = static_cast<VkFormat>(plan.format);
  info.extent = {plan.width, plan.height, 1};
  info.mipLevels = 1;
  info.arrayLayers = 1;
  info.samples = VK_SAMPLE_COUNT_1_BIT;
  info.tiling = VK_IMAGE_TILING_OPTIMAL;
  info.usage = usage;
  info.initialLayout = VK_IMAGE_LAYOUT_UNDEFINED;
  if (is_shared) set_sharing(info, *device_);
  check(device_->vk().vkCreateImage(device_->handle(), &info, nullptr, &handle_),
        "making an image");
}

Image::~Image() {
  device_->vk().vkDestroyImageView(device_->handle(), view_, nullptr);
  device_->vk().vkDestroyImage(device_->handle(), handle_, nullptr);
}

VkMemoryRequirements Image::needs() const {
  VkMemoryRequirements needs = {};
  device_->vk().vkGetImageMemoryRequirements(device_->handle(), handle_, &needs);
  return needs;
}

void Image::bind(const Memory& memory, uint64_t offset) {
  const DeviceTable& vk = device_->vk();
  check(vk.vkBindImageMemory(device_->handle(), handle_, memory.handle(), offset),
        "binding an image");
  VkImageViewCreateInfo info = {VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO};
  info.image = handle_;
  info.viewType = VK_IMAGE_VIEW_TYPE_2D;
  info.format = static_cast<VkFormat>(plan_.format);
  info.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
  check(vk.vkCreateImageView(device_->handle(), &info, nullptr, &view_),
        "making a view of an image");
}

Images::Images(DevicePtr device, const std::vector<ImagePlan>& plans, bool is_shared) {
  // Images of one tiling and usage may lie in the same kinds of memory, whatever their sizes.
  uint32_t type_bits = ~uint32_t{0};
  std::vector<uint64_t> sizes;  // of each allocation
  struct Spot {
    size_t allocation;
    uint64_t offset;
  };
  std::vector<Spot> spots;
  for (const ImagePlan& plan : plans) {
    images_.push_back(std::make_unique<Image>(device, plan, is_shared));
    const VkMemoryRequirements needs = images_.back()->needs();
    type_bits &= needs.memoryTypeBits;
    uint64_t offset = sizes.empty() ? 0 : rounded(sizes.back(), needs.alignment);
    if (sizes.empty() || offset + needs.size > kMostBytes) {
      sizes.push_back(0);
      offset = 0;
    }
    spots.push_back({sizes.size() - 1, offset});
    sizes.back() = offset + needs.size;
  }
  for (const uint64_t size : sizes) {
    const std::optional<uint32_t> type = device->memory_type(type_bits, MemoryUse::kDevice);
    if (!type) fail(SM_UNSUPPORTED, "the device has no memory for images");
    memory_.push_back(std::make_unique<Memory>(device, size, *type));
    bytes_ += size;
  }
  for (size_t i = 0; i < images_.size(); ++i) {
    images_[i]->bind(*memory_[spots[i].allocation], spots[i].offset);
  }
}

}  // namespace smartmem
