// A Vulkan device with a queue for kernels and perhaps one for copies, and its memory.
#pragma once

#include <array>
#include <atomic>
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

// Copies have a queue of their own where the device has another; else theirs is the compute queue.
enum class QueueKind { kCompute, kCopy };

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
  uint32_t queue_family(QueueKind kind) const { return queue(kind).family; }
  // The families of both queues, for what they share; one where they are of one.
  const std::vector<uint32_t>& families() const { return families_; }
  // Whether copies can go on beside kernels.
  bool has_copy_queue() const {
    return copy_.family != compute_.family || copy_.number != compute_.number;
  }
  // Of the device, whether used or not.
  std::vector<std::string> extension_names() const;
  // Whether kernels can fetch texels of this format from a buffer.
  bool has_texel_format(VkFormat format) const;
  // Whether kernels can fetch texels of this format from an image.
  bool has_image_format(VkFormat format) const;
  // Whether kernels can write texels of this format to an image, and fetch them.
  bool has_written_format(VkFormat format) const;
  // Whether a queue has a clock.
  bool has_timestamps(QueueKind kind = QueueKind::kCompute) const {
    return queue(kind).timestamp_bits > 0;
  }
  // Nanoseconds from one tick count of a queue to another, of counters that may have wrapped.
  double nanoseconds(uint64_t first, uint64_t last, QueueKind kind = QueueKind::kCompute) const;
  // Whether it computes in the host's memory, so that staging would be a needless copy.
  bool shares_host_memory() const;

  // The most that can be allocated of any memory.
  uint64_t largest_heap_bytes() const;

  // The best memory type of `type_bits` for a use; nothing where none will do.
  std::optional<uint32_t> memory_type(uint32_t type_bits, MemoryUse use) const;

  void submit(const VkSubmitInfo& info, QueueKind kind) const;

  // Bytes of memory that are allocated now, and the most that ever were.
  uint64_t allocated_bytes() const { return allocated_bytes_.load(); }
  uint64_t peak_bytes() const { return peak_bytes_.load(); }
  // Of every allocation (positive) and release (negative).
  void count_memory(int64_t bytes) const;

 private:
  struct Queue {
    VkQueue handle = VK_NULL_HANDLE;
    uint32_t family = 0;
    uint32_t number = 0;  // in its family
    uint32_t timestamp_bits = 0;
  };

  void pick_physical(const Uuid& uuid);
  void pick_queues();
  const Queue& queue(QueueKind kind) const { return kind == QueueKind::kCopy ? copy_ : compute_; }
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
  VkDevice handle_ = VK_NULL_HANDLE;
  DeviceTable vk_;
  Queue compute_;
  Queue copy_;
  std::vector<uint32_t> families_;
  mutable std::mutex queue_mutex_;
  mutable std::atomic<uint64_t> allocated_bytes_{0};
  mutable std::atomic<uint64_t> peak_bytes_{0};
};

using DevicePtr = std::shared_ptr<const Device>;

// Device memory that releases itself.
class Memory {
 public:
  Memory(DevicePtr device, uint64_t size, uint32_t type);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  VkDeviceMemory handle() const { return handle_; }
  // For memory that the host may touch.
  uint8_t* map() const;

 private:
  DevicePtr device_;
  uint64_t size_;
  VkDeviceMemory handle_ = VK_NULL_HANDLE;
};

// Of an object's making: which queues share it.
template <class Info>
void set_sharing(Info& info, const Device& device) {
  if (device.families().size() < 2) return;
  info.sharingMode = VK_SHARING_MODE_CONCURRENT;
  info.queueFamilyIndexCount = static_cast<uint32_t>(device.families().size());
  info.pQueueFamilyIndices = device.families().data();
}

// A buffer: with memory of its own, mapped where the host may touch it, or bound to another's.
class Buffer {
 public:
  // `is_shared`: between the queues for kernels and for copies.
  Buffer(DevicePtr device, uint64_t size, VkBufferUsageFlags usage, MemoryUse use,
         bool is_shared = false);
  // Without memory; what needs() says decides which it may be bound to.
  Buffer(DevicePtr device, uint64_t size, VkBufferUsageFlags usage, bool is_shared);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  VkBuffer handle() const { return handle_; }
  uint64_t size() const { return size_; }
  uint8_t* mapped() const { return mapped_; }
  VkMemoryRequirements needs() const;
  void bind(const Memory& memory) const;

 private:
  DevicePtr device_;
  uint64_t size_;
  VkBuffer handle_ = VK_NULL_HANDLE;
  std::unique_ptr<Memory> memory_;
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

  // What a submission waits for: another timeline at this value.
  struct After {
    const Timeline& timeline;
    uint64_t value;
  };

  // Submits and counts one further.
  void submit(VkCommandBuffer commands, QueueKind queue = QueueKind::kCompute,
              const std::vector<After>& waits = {});
  // The value of the last submission.
  uint64_t submitted() const { return submitted_; }
  // Waits for all that was submitted; throws SM_TIMEOUT after so long.
  void wait(sm_wait how, uint64_t timeout_ns);
  bool is_idle() const { return finished_ == submitted_; }
  // Whether the GPU gets to a value within this time. From any thread.
  bool reaches(uint64_t value, uint64_t timeout_ns) const;

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
  explicit CommandPool(DevicePtr device, QueueKind queue = QueueKind::kCompute);
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
