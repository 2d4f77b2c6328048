// The commands of a schedule, ready to be recorded.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "barrier.h"
#include "device.h"
#include "images.h"
#include "layout.h"
#include "pipelines.h"
#include "schedule.h"

namespace smartmem {

// What commands do with a buffer.
constexpr VkBufferUsageFlags kCommandUsage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                             VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT |
                                             VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                             VK_BUFFER_USAGE_TRANSFER_DST_BIT;

// How many descriptors of each kind.
struct DescriptorCounts {
  uint32_t sets = 0;
  uint32_t buffers = 0;
  uint32_t texels = 0;
  uint32_t images = 0;
  uint32_t written_images = 0;
};

// A pool of exactly so many.
class DescriptorPool {
 public:
  DescriptorPool(DevicePtr device, const DescriptorCounts& counts);
  ~DescriptorPool();
  DescriptorPool(const DescriptorPool&) = delete;
  DescriptorPool& operator=(const DescriptorPool&) = delete;

  VkDescriptorSet allocate(VkDescriptorSetLayout layout) const;

 private:
  DevicePtr device_;
  VkDescriptorPool handle_ = VK_NULL_HANDLE;
};

// Where a command finds what has no fixed place: a streamed weight, or scratch memory that is an
// image.
struct Spot {
  VkBuffer buffer = VK_NULL_HANDLE;
  uint64_t offset = 0;
  VkImageView image = VK_NULL_HANDLE;
  VkImageLayout layout = VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL;
};

// By command and resource; NULL for what has its place in the layout.
using FindSpot = std::function<const Spot*(uint32_t, uint32_t)>;

// A list of commands with their descriptor sets, on buffers that are there.
class Commands {
 public:
  // `buffer` gives the buffer of a number of the layout. All that is named here must live as long
  // as this does.
  Commands(DevicePtr device, const Schedule& schedule, const std::vector<Command>& commands,
           const Layout& layout, const Pipelines& pipelines, const Images& images,
           const std::function<VkBuffer(uint32_t)>& buffer, const FindSpot& find = {});

  // What the commands do, for barriers around them.
  Scope scope() const { return scope_; }
  void record(VkCommandBuffer target, uint32_t number) const;
  // All of them, with a barrier between one wave and the next.
  void record_waves(VkCommandBuffer target, const std::vector<Wave>& waves) const;
  // `begun`: images in scratch memory that are first used behind it.
  void record_barrier(VkCommandBuffer target, const std::vector<VkImage>& begun = {}) const;

 private:
  void make_descriptor_sets();
  void write_descriptor_set(uint32_t number, VkDescriptorSet set);
  Spot spot_of(uint32_t number, const Use& use) const;

  DevicePtr device_;
  const Schedule& schedule_;
  const std::vector<Command>& commands_;
  const Layout& layout_;
  const Pipelines& pipelines_;
  const Images& images_;
  std::function<VkBuffer(uint32_t)> buffer_;
  FindSpot find_;
  Scope scope_;
  std::vector<std::unique_ptr<BufferView>> views_;
  std::unique_ptr<DescriptorPool> descriptors_;
  std::vector<VkDescriptorSet> sets_;  // by command; none for fills and copies
};

}  // namespace smartmem
