// Images: of weights, made and filled once per loaded model, and of scratch memory.
#pragma once

#include <memory>
#include <vector>

#include "device.h"
#include "layout.h"

namespace smartmem {

// What images are used for: filled once and read, or written by one kernel and read by others.
constexpr VkImageUsageFlags kWeightImage =
    VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
constexpr VkImageUsageFlags kScratchImage = VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_STORAGE_BIT;

// A two-dimensional image of one level, and its view.
class Image {
 public:
  // `is_shared`: between the queues for kernels and for copies.
  Image(DevicePtr device, const ImagePlan& plan, bool is_shared = false,
        VkImageUsageFlags usage = kWeightImage);
  ~Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  const ImagePlan& plan() const { return plan_; }
  VkImage handle() const { return handle_; }
  VkImageView view() const { return view_; }
  VkMemoryRequirements needs() const;
  void bind(const Memory& memory, uint64_t offset);

 private:
  DevicePtr device_;
  ImagePlan plan_;
  VkImage handle_ = VK_NULL_HANDLE;
  VkImageView view_ = VK_NULL_HANDLE;
};

// All images of a model, in the layout's order.
class Images {
 public:
  Images(DevicePtr device, const std::vector<ImagePlan>& plans, bool is_shared = false);

  const Image& operator[](size_t number) const { return *images_[number]; }
  // Device memory that they take.
  uint64_t bytes() const { return bytes_; }
  size_t size() const { return images_.size(); }

 private:
  std::vector<std::unique_ptr<Memory>> memory_;
  std::vector<std::unique_ptr<Image>> images_;
  uint64_t bytes_ = 0;
};

}  // namespace smartmem
