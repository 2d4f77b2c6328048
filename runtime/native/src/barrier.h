// The memory barriers that recordings need.
#pragma once

#include "vulkan.h"

namespace smartmem {

struct Scope {
  VkPipelineStageFlags stages;
  VkAccessFlags access;
};

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

// What of `from` was written is there for `to`, and `to` overwrites nothing that `from` still uses.
inline void add_barrier(const DeviceTable& vk, VkCommandBuffer commands, Scope from, Scope to) {
  constexpr VkAccessFlags kWrites = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
  VkMemoryBarrier barrier = {VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  barrier.srcAccessMask = from.access & kWrites;
  barrier.dstAccessMask = to.access;
  vk.vkCmdPipelineBarrier(commands, from.stages, to.stages, 0, 1, &barrier, 0, nullptr, 0, nullptr);
}

}  // namespace smartmem
