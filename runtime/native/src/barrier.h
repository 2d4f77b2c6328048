// The memory barriers that recordings need.
#pragma once

#include <vector>

#include "vulkan.h"

namespace smartmem {

struct Scope {
  VkPipelineStageFlags stages;
  VkAccessFlags access;
};

constexpr Scope kNothing = {VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, 0};
constexpr Scope kTransferWrites = {VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT};
constexpr Scope kTransferReads = {VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_READ_BIT};
constexpr Scope kHostReads = {VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT};
// What commands of a schedule do: kernels, and where there are fills or copies, transfers.
constexpr Scope kKernels = {VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                            VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
constexpr Scope kTransfers = {VK_PIPELINE_STAGE_TRANSFER_BIT,
                              VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};

constexpr Scope operator|(Scope a, Scope b) {
  return {a.stages | b.stages, a.access | b.access};
}

constexpr VkAccessFlags kWrites = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;

// For one image, which goes from one layout to another.
inline VkImageMemoryBarrier image_barrier(VkImage image, Scope from, Scope to,
                                          VkImageLayout before, VkImageLayout after) {
  VkImageMemoryBarrier barrier = {VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER};
  barrier.srcAccessMask = from.access & kWrites;
  barrier.dstAccessMask = to.access;
  barrier.oldLayout = before;
  barrier.newLayout = after;
  barrier.srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
  barrier.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
  barrier.image = image;
  barrier.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
  return barrier;
}

// What of `from` was written is there for `to`, and `to` overwrites nothing that `from` still uses.
// Images that are `begun` hold nothing of use before, and may share memory with what did.
inline void add_barrier(const DeviceTable& vk, VkCommandBuffer commands, Scope from, Scope to,
                        const std::vector<VkImage>& begun = {}) {
  VkMemoryBarrier barrier = {VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  barrier.srcAccessMask = from.access & kWrites;
  barrier.dstAccessMask = to.access;
  std::vector<VkImageMemoryBarrier> images;
  for (VkImage image : begun) {
    images.push_back(image_barrier(image, from, to, VK_IMAGE_LAYOUT_UNDEFINED,
                                   VK_IMAGE_LAYOUT_GENERAL));
  }
  vk.vkCmdPipelineBarrier(commands, from.stages, to.stages, 0, 1, &barrier, 0, nullptr,
                          static_cast<uint32_t>(images.size()), images.data());
}

inline void add_image_barrier(const DeviceTable& vk, VkCommandBuffer commands, VkImage image,
                              Scope from, Scope to, VkImageLayout before, VkImageLayout after) {
  const VkImageMemoryBarrier barrier = image_barrier(image, from, to, before, after);
  vk.vkCmdPipelineBarrier(commands, from.stages, to.stages, 0, 0, nullptr, 0, nullptr, 1, &barrier);
}

}  // namespace smartmem
