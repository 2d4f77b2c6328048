// A Vulkan device with one compute queue, and its memory.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "features.h"
#include "file.h"
#include "vulkan.h"

namespace smartmem {

using Uuid = std::array<uint8_t, VK_UUID_SIZE>;

std::vector<sm_device_info> list_devices();

// What a buffer's memory is for.
enum class MemoryUse {
  kDevice,    // for kernels only
  kUpload,    // written by the host in order
  kReadback,  // read by the host
  kShared     // for kernels and the host: only where the device uses the host's memory
};

class Device {
 public:
  // Throws SM_NO_VULKAN where no device has this identity, SM_UNSUPPORTED where it lacks Vulkan
  // 1.1, timeline semaphores or a compute queue.
  explicit Device(const Uuid& uuid);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  VkDevice handle() const { return handle_; }
  const DeviceTable& vk() const { return vk_; }
  const Features& features() const { return *features_; }
  const VkPhysicalDeviceProperties& properties() const { return properties_; }
  const VkPhysicalDeviceLimits& limits() const { return properties_.limits; }
  const VkPhysicalDeviceSubgroupProperties& subgroup() const { return subgroup_; }
  const VkPhysicalDeviceSubgroupSizeControlProperties& subgroup_sizes() const {
    return subgroup_sizes_;
  }
  uint32_t queue_family() const { return queue_family_; }
  // Of the device, whether used or not.
  std::vector<std::string> extension_names() const;
  // Whether kernels can fetch texels of this format from a buffer.
  bool has_texel_format(VkFormat format) const;
  // Whether kernels can fetch texels of this format from an image.
  bool has_image_format(VkFormat format) const;
  // Whether its queue has a clock.
  bool has_timestamps() const { return timestamp_bits_ > 0; }
  // Nanoseconds from one tick count to another, of counters that may have wrapped.
  double nanoseconds(uint64_t first, uint64_t last) const;
  // Whether it computes in the host's memory, so that staging would be a needless copy.
  bool shares_host_memory() const;

  // The most that can be allocated of any memory.
  uint64_t largest_heap_bytes() const;

  // The best memory type of `type_bits` for a use; nothing where none will do.
  std::optional<uint32_t> memory_type(uint32_t type_bits, MemoryUse use) const;

  void submit(const VkSubmitInfo& info) const;

 private:
  void pick_physical(const Uuid& uuid);
  void pick_queue_family();
  void create();

  Instance instance_;
  VkPhysicalDevice physical_ = VK_NULL_HANDLE;
  VkPhysicalDeviceProperties properties_ = {};
  VkPhysicalDeviceSubgroupProperties subgroup_ = {
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
  VkPhysicalDeviceSubgroupSizeControlProperties subgroup_sizes_ = {
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
  VkPhysicalDeviceMemoryProperties memory_ = {};
  std::unique_ptr<Features> features_;
  uint32_t queue_family_ = 0;
  uint32_t timestamp_bits_ = 0;
  VkDevice handle_ = VK_NULL_HANDLE;
  DeviceTable vk_;
  VkQueue queue_ = VK_NULL_HANDLE;
  mutable std::mutex queue_mutex_;
};

using DevicePtr = std::shared_ptr<const Device>;

// A buffer with memory of its own, mapped where the host may touch it.
class Buffer {
 public:
  Buffer(DevicePtr device, uint64_t size, VkBufferUsageFlags usage, MemoryUse use);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  VkBuffer handle() const { return handle_; }
  uint64_t size() const { return size_; }
  uint8_t* mapped() const { return mapped_; }

 private:
  void allocate(MemoryUse use);
  void release();

  DevicePtr device_;
  uint64_t size_;
  VkBuffer handle_ = VK_NULL_HANDLE;
  VkDeviceMemory memory_ = VK_NULL_HANDLE;
  uint8_t* mapped_ = nullptr;
};

// A part of a buffer as texels.
class BufferView {
 public:
  BufferView(DevicePtr device, VkBuffer buffer, VkFormat format, uint64_t offset, uint64_t size);
  ~BufferView();
  BufferView(const BufferView&) = delete;
  BufferView& operator=(const BufferView&) = delete;

  VkBufferView handle() const { return handle_; }

 private:
  DevicePtr device_;
  VkBufferView handle_ = VK_NULL_HANDLE;
};

// A counter that the GPU raises as submissions finish.
class Timeline {
 public:
  explicit Timeline(DevicePtr device);
  ~Timeline();
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  // Submits and counts one further.
  void submit(VkCommandBuffer commands);
  // Waits for all that was submitted; throws SM_TIMEOUT after so long.
  void wait(sm_wait how, uint64_t timeout_ns);
  bool is_idle() const { return finished_ == submitted_; }

 private:
  void poll(uint64_t timeout_ns);

  DevicePtr device_;
  VkSemaphore semaphore_ = VK_NULL_HANDLE;
  uint64_t submitted_ = 0;
  uint64_t finished_ = 0;
};

// A pool, and command buffers from it.
class CommandPool {
 public:
  explicit CommandPool(DevicePtr device);
  ~CommandPool();
  CommandPool(const CommandPool&) = delete;
  CommandPool& operator=(const CommandPool&) = delete;

  // A command buffer with what `write` writes; it may be submitted again and again.
  VkCommandBuffer record(const std::function<void(VkCommandBuffer)>& write);

 private:
  DevicePtr device_;
  VkCommandPool handle_ = VK_NULL_HANDLE;
};

}  // namespace smartmem
