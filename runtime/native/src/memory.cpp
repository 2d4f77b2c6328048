// Memory and buffers of device.h.
#include "device.h"

namespace smartmem {

Memory::Memory(DevicePtr device, uint64_t size, uint32_t type)
    : device_(std::move(device)), size_(size) {
  VkMemoryAllocateInfo info = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO};
  info.allocationSize = size;
  info.memoryTypeIndex = type;
  check(device_->vk().vkAllocateMemory(device_->handle(), &info, nullptr, &handle_),
        text("allocating ", size, " bytes").c_str());
  device_->count_memory(static_cast<int64_t>(size));
}

Memory::~Memory() {
  device_->vk().vkFreeMemory(device_->handle(), handle_, nullptr);
  device_->count_memory(-static_cast<int64_t>(size_));
}

uint8_t* Memory::map() const {
  void* mapped = nullptr;
  check(device_->vk().vkMapMemory(device_->handle(), handle_, 0, VK_WHOLE_SIZE, 0, &mapped),
        "mapping memory");
  return static_cast<uint8_t*>(mapped);
}

Buffer::Buffer(DevicePtr device, uint64_t size, VkBufferUsageFlags usage, MemoryUse use,
               bool is_shared)
    : Buffer(std::move(device), size, usage, is_shared) {
  // From here on the destructor runs where this throws.
  const std::optional<uint32_t> type = device_->memory_type(needs().memoryTypeBits, use);
  if (!type) fail(SM_UNSUPPORTED, "the device has no memory of the kind that is needed");
  memory_ = std::make_unique<Memory>(device_, needs().size, *type);
  bind(*memory_);
  if (use != MemoryUse::kDevice) mapped_ = memory_->map();
}

Buffer::Buffer(DevicePtr device, uint64_t size, VkBufferUsageFlags usage, bool is_shared)
    : device_(std::move(device)), size_(size) {
  // Drivers need not take a buffer that no memory could hold.
  if (size > device_->largest_heap_bytes()) {
    fail(SM_OUT_OF_MEMORY, size, " bytes are more than the device has");
  }
  VkBufferCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
  info.size = size;
  info.usage = usage;
  if (is_shared) set_sharing(info, *device_);
  check(device_->vk().vkCreateBuffer(device_->handle(), &info, nullptr, &handle_),
        "making a buffer");
}

VkMemoryRequirements Buffer::needs() const {
  VkMemoryRequirements needs = {};
  device_->vk().vkGetBufferMemoryRequirements(device_->handle(), handle_, &needs);
  return needs;
}

void Buffer::bind(const Memory& memory) const {
  check(device_->vk().vkBindBufferMemory(device_->handle(), handle_, memory.handle(), 0),
        "binding memory");
}

Buffer::~Buffer() { device_->vk().vkDestroyBuffer(device_->handle(), handle_, nullptr); }

BufferView::BufferView(DevicePtr device, VkBuffer buffer, VkFormat format, uint64_t offset,
                       uint64_t size)
    : device_(std::move(device)) {
  VkBufferViewCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO};
  info.buffer = buffer;
  info.format = format;
  info.offset = offset;
  info.range = size;
  check(device_->vk().vkCreateBufferView(device_->handle(), &info, nullptr, &handle_),
        "making a view of texels");
}

BufferView::~BufferView() {
  device_->vk().vkDestroyBufferView(device_->handle(), handle_, nullptr);
}

}  // namespace smartmem
