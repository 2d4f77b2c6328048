#include "device.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace smartmem {
namespace {

std::vector<VkPhysicalDevice> physical_devices(const Instance& instance) {
  uint32_t count = 0;
  check(instance.vk().vkEnumeratePhysicalDevices(instance.handle(), &count, nullptr),
        "counting devices");
  std::vector<VkPhysicalDevice> devices(count);
  check(instance.vk().vkEnumeratePhysicalDevices(instance.handle(), &count, devices.data()),
        "listing devices");
  devices.resize(count);
  return devices;
}

std::vector<VkExtensionProperties> extensions_of(const Instance& instance,
                                                 VkPhysicalDevice device) {
  const auto& vk = instance.vk();
  uint32_t count = 0;
  check(vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr),
        "counting extensions");
  std::vector<VkExtensionProperties> extensions(count);
  check(vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, extensions.data()),
        "listing extensions");
  extensions.resize(count);
  return extensions;
}

struct Identity {
  VkPhysicalDeviceProperties2 properties = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
  VkPhysicalDeviceIDProperties id = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
  VkPhysicalDeviceDriverProperties driver = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
};

// Structures that a driver does not know it must ignore.
void ask_identity(const Instance& instance, VkPhysicalDevice device, Identity& identity) {
  identity.properties.pNext = &identity.id;
  identity.id.pNext = &identity.driver;
  instance.vk().vkGetPhysicalDeviceProperties2(device, &identity.properties);
}

sm_device_kind kind_of(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return SM_DEVICE_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return SM_DEVICE_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return SM_DEVICE_VIRTUAL;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return SM_DEVICE_CPU;
    default:
      return SM_DEVICE_OTHER;
  }
}

// Flags that a memory type must have for a use, and flags it had better have.
struct MemoryWish {
  VkMemoryPropertyFlags needed;
  VkMemoryPropertyFlags better;
};

MemoryWish wish_for(MemoryUse use) {
  constexpr VkMemoryPropertyFlags kHost =
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  switch (use) {
    case MemoryUse::kDevice:
      return {0, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT};
    case MemoryUse::kUpload:
      return {kHost, 0};
    case MemoryUse::kReadback:
      return {kHost, VK_MEMORY_PROPERTY_HOST_CACHED_BIT};
    case MemoryUse::kShared:
      return {kHost, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT};
  }
  return {};
}

int count_bits(VkMemoryPropertyFlags flags) { return __builtin_popcount(flags); }

}  // namespace

std::vector<sm_device_info> list_devices() {
  const Instance instance;
  std::vector<sm_device_info> infos;
  for (VkPhysicalDevice device : physical_devices(instance)) {
    Identity identity;
    ask_identity(instance, device, identity);
    sm_device_info info = {};
    copy_text(info.name, identity.properties.properties.deviceName);
    copy_text(info.driver, identity.driver.driverName);
    copy_text(info.driver_info, identity.driver.driverInfo);
    std::memcpy(info.uuid, identity.id.deviceUUID, sizeof(info.uuid));
    info.api_version = identity.properties.properties.apiVersion;
    info.kind = kind_of(identity.properties.properties.deviceType);
    infos.push_back(info);
  }
  return infos;
}

Device::Device(const Uuid& uuid) {
  pick_physical(uuid);
  pick_queues();
  create();
}

Device::~Device() {
  if (handle_ != VK_NULL_HANDLE) vk_.vkDestroyDevice(handle_, nullptr);
}

void Device::pick_physical(const Uuid& uuid) {
  for (VkPhysicalDevice device : physical_devices(instance_)) {
    Identity identity;
    ask_identity(instance_, device, identity);
    if (std::equal(uuid.begin(), uuid.end(), identity.id.deviceUUID)) {
      physical_ = device;
      break;
    }
  }
  if (physical_ == VK_NULL_HANDLE) fail(SM_NO_VULKAN, "no Vulkan device of this identity");
  VkPhysicalDeviceProperties2 properties = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
  properties.pNext = &subgroup_;
  subgroup_.pNext = &subgroup_sizes_;
  instance_.vk().vkGetPhysicalDeviceProperties2(physical_, &properties);
  properties_ = properties.properties;
  instance_.vk().vkGetPhysicalDeviceMemoryProperties(physical_, &memory_);
}

// A family that only computes, where there is one: graphics work of others does not delay it.
// Copies go to a family that only copies, and images to any row; else to a second compute queue.
void Device::pick_queues() {
  const auto& vk = instance_.vk();
  uint32_t count = 0;
  vk.vkGetPhysicalDeviceQueueFamilyProperties(physical_, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vk.vkGetPhysicalDeviceQueueFamilyProperties(physical_, &count, families.data());
  std::optional<uint32_t> best;
  std::optional<uint32_t> copies;
  for (uint32_t i = 0; i < count; ++i) {
    const VkQueueFlags flags = families[i].queueFlags;
    const VkExtent3D step = families[i].minImageTransferGranularity;
    if (!(flags & VK_QUEUE_COMPUTE_BIT)) {
      const bool takes_rows = step.width == 1 && step.height == 1 && step.depth == 1;
      const bool copies_only = (flags & VK_QUEUE_TRANSFER_BIT) && !(flags & VK_QUEUE_GRAPHICS_BIT);
      if (copies_only && takes_rows && !copies) copies = i;
      continue;
    }
    const bool computes_only = !(flags & VK_QUEUE_GRAPHICS_BIT);
    if (!best || (computes_only && (families[*best].queueFlags & VK_QUEUE_GRAPHICS_BIT))) best = i;
  }
  if (!best) fail(SM_UNSUPPORTED, properties_.deviceName, ": it has no compute queue");
  compute_ = {VK_NULL_HANDLE, *best, 0, families[*best].timestampValidBits};
  copy_ = compute_;
  if (copies) {
    copy_ = {VK_NULL_HANDLE, *copies, 0, families[*copies].timestampValidBits};
  } else if (families[*best].queueCount > 1) {
    copy_.number = 1;
  }
  families_ = {compute_.family};
  if (copy_.family != compute_.family) families_.push_back(copy_.family);
}

void Device::create() {
  if (properties_.apiVersion < VK_API_VERSION_1_1) {
    fail(SM_UNSUPPORTED, properties_.deviceName, ": its driver is older than Vulkan 1.1");
  }
  features_ = std::make_unique<Features>(instance_.vk(), physical_, properties_.apiVersion,
                                         extensions_of(instance_, physical_));
  if (!features_->has_timeline()) {
    fail(SM_UNSUPPORTED, properties_.deviceName, ": it has no timeline semaphores");
  }
  const float priorities[] = {1.0F, 1.0F};
  VkDeviceQueueCreateInfo queues[2] = {};
  for (VkDeviceQueueCreateInfo& queue : queues) {
    queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queue.queueCount = 1;
    queue.pQueuePriorities = priorities;
  }
  queues[0].queueFamilyIndex = compute_.family;
  queues[1].queueFamilyIndex = copy_.family;
  const bool is_one_family = families_.size() == 1;
  if (is_one_family) queues[0].queueCount = copy_.number + 1;
  VkDeviceCreateInfo info = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO};
  info.pNext = features_->chain();
  info.queueCreateInfoCount = is_one_family ? 1 : 2;
  info.pQueueCreateInfos = queues;
  info.enabledExtensionCount = static_cast<uint32_t>(features_->extensions().size());
  info.ppEnabledExtensionNames = features_->extensions().data();
  check(instance_.vk().vkCreateDevice(physical_, &info, nullptr, &handle_), "opening the device");
  try {
    vk_ = load_device_table(instance_.vk(), handle_);
  } catch (...) {
    const auto destroy = reinterpret_cast<PFN_vkDestroyDevice>(
        instance_.vk().vkGetDeviceProcAddr(handle_, "vkDestroyDevice"));
    if (destroy != nullptr) destroy(handle_, nullptr);
    throw;
  }
  vk_.vkGetDeviceQueue(handle_, compute_.family, compute_.number, &compute_.handle);
  vk_.vkGetDeviceQueue(handle_, copy_.family, copy_.number, &copy_.handle);
}

double Device::nanoseconds(uint64_t first, uint64_t last, QueueKind kind) const {
  const uint32_t bits = queue(kind).timestamp_bits;
  const uint64_t mask = bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  return static_cast<double>((last - first) & mask) * properties_.limits.timestampPeriod;
}

std::vector<std::string> Device::extension_names() const {
  std::vector<std::string> names;
  for (const VkExtensionProperties& extension : extensions_of(instance_, physical_)) {
    names.emplace_back(extension.extensionName);
  }
  return names;
}

bool Device::has_texel_format(VkFormat format) const {
  VkFormatProperties properties = {};
  instance_.vk().vkGetPhysicalDeviceFormatProperties(physical_, format, &properties);
  return (properties.bufferFeatures & VK_FORMAT_FEATURE_UNIFORM_TEXEL_BUFFER_BIT) != 0;
}

bool Device::has_image_format(VkFormat format) const {
  VkFormatProperties properties = {};
  instance_.vk().vkGetPhysicalDeviceFormatProperties(physical_, format, &properties);
  constexpr VkFormatFeatureFlags kNeeded =
      VK_FORMAT_FEATURE_SAMPLED_IMAGE_BIT | VK_FORMAT_FEATURE_TRANSFER_DST_BIT;
  return (properties.optimalTilingFeatures & kNeeded) == kNeeded;
}

bool Device::has_written_format(VkFormat format) const {
  VkFormatProperties properties = {};
  instance_.vk().vkGetPhysicalDeviceFormatProperties(physical_, format, &properties);
  constexpr VkFormatFeatureFlags kNeeded =
      VK_FORMAT_FEATURE_SAMPLED_IMAGE_BIT | VK_FORMAT_FEATURE_STORAGE_IMAGE_BIT;
  return (properties.optimalTilingFeatures & kNeeded) == kNeeded;
}

bool Device::shares_host_memory() const {
  return properties_.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU ||
         properties_.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
}

uint64_t Device::largest_heap_bytes() const {
  uint64_t largest = 0;
  for (uint32_t i = 0; i < memory_.memoryHeapCount; ++i) {
    largest = std::max<uint64_t>(largest, memory_.memoryHeaps[i].size);
  }
  return largest;
}

std::optional<uint32_t> Device::memory_type(uint32_t type_bits, MemoryUse use) const {
  const MemoryWish wish = wish_for(use);
  std::optional<uint32_t> best;
  int most = -1;
  for (uint32_t i = 0; i < memory_.memoryTypeCount; ++i) {
    const VkMemoryPropertyFlags flags = memory_.memoryTypes[i].propertyFlags;
    if (!(type_bits >> i & 1) || (flags & wish.needed) != wish.needed) continue;
    // Drivers list the better of equal types first.
    if (count_bits(flags & wish.better) > most) {
      most = count_bits(flags & wish.better);
      best = i;
    }
  }
  return best;
}

void Device::submit(const VkSubmitInfo& info, QueueKind kind) const {
  const std::lock_guard<std::mutex> lock(queue_mutex_);
  check(vk_.vkQueueSubmit(queue(kind).handle, 1, &info, VK_NULL_HANDLE), "submitting work");
}

void Device::count_memory(int64_t bytes) const {
  const uint64_t now = allocated_bytes_.fetch_add(static_cast<uint64_t>(bytes)) +
                       static_cast<uint64_t>(bytes);
  uint64_t most = peak_bytes_.load();
  while (now > most && !peak_bytes_.compare_exchange_weak(most, now)) {
  }
}

Timeline::Timeline(DevicePtr device) : device_(std::move(device)) {
  VkSemaphoreTypeCreateInfo type = {VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO};
  type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
  VkSemaphoreCreateInfo info = {VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO};
  info.pNext = &type;
  check(device_->vk().vkCreateSemaphore(device_->handle(), &info, nullptr, &semaphore_),
        "making a semaphore");
}

Timeline::~Timeline() { device_->vk().vkDestroySemaphore(device_->handle(), semaphore_, nullptr); }

void Timeline::submit(VkCommandBuffer commands, QueueKind queue, const std::vector<After>& waits) {
  std::vector<VkSemaphore> semaphores;
  std::vector<uint64_t> values;
  for (const After& after : waits) {
    semaphores.push_back(after.timeline.semaphore_);
    values.push_back(after.value);
  }
  const std::vector<VkPipelineStageFlags> stages(waits.size(), VK_PIPELINE_STAGE_ALL_COMMANDS_BIT);
  const uint64_t value = submitted_ + 1;
  VkTimelineSemaphoreSubmitInfo timeline = {VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO};
  timeline.waitSemaphoreValueCount = static_cast<uint32_t>(values.size());
  timeline.pWaitSemaphoreValues = values.data();
  timeline.signalSemaphoreValueCount = 1;
  timeline.pSignalSemaphoreValues = &value;
  VkSubmitInfo info = {VK_STRUCTURE_TYPE_SUBMIT_INFO};
  info.pNext = &timeline;
  info.waitSemaphoreCount = static_cast<uint32_t>(semaphores.size());
  info.pWaitSemaphores = semaphores.data();
  info.pWaitDstStageMask = stages.data();
  info.commandBufferCount = 1;
  info.pCommandBuffers = &commands;
  info.signalSemaphoreCount = 1;
  info.pSignalSemaphores = &semaphore_;
  device_->submit(info, queue);
  submitted_ = value;
}

bool Timeline::reaches(uint64_t value, uint64_t timeout_ns) const {
  VkSemaphoreWaitInfo info = {VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO};
  info.semaphoreCount = 1;
  info.pSemaphores = &semaphore_;
  info.pValues = &value;
  const VkResult result = device_->vk().vkWaitSemaphores(device_->handle(), &info, timeout_ns);
  if (result == VK_TIMEOUT) return false;
  check(result, "waiting for the device");
  return true;
}

void Timeline::wait(sm_wait how, uint64_t timeout_ns) {
  if (is_idle()) return;
  if (how == SM_WAIT_POLL) {
    poll(timeout_ns);
  } else {
    VkSemaphoreWaitInfo info = {VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO};
    info.semaphoreCount = 1;
    info.pSemaphores = &semaphore_;
    info.pValues = &submitted_;
    check(device_->vk().vkWaitSemaphores(device_->handle(), &info, timeout_ns),
          "waiting for the device");
  }
  finished_ = submitted_;
}

void Timeline::poll(uint64_t timeout_ns) {
  const auto start = std::chrono::steady_clock::now();
  for (uint64_t value = 0;;) {
    check(device_->vk().vkGetSemaphoreCounterValue(device_->handle(), semaphore_, &value),
          "asking the device");
    if (value >= submitted_) return;
    const std::chrono::nanoseconds passed = std::chrono::steady_clock::now() - start;
    if (static_cast<uint64_t>(passed.count()) >= timeout_ns) check(VK_TIMEOUT, "computing");
  }
}

CommandPool::CommandPool(DevicePtr device, QueueKind queue) : device_(std::move(device)) {
  VkCommandPoolCreateInfo info = {VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
  info.queueFamilyIndex = device_->queue_family(queue);
  check(device_->vk().vkCreateCommandPool(device_->handle(), &info, nullptr, &handle_),
        "making a command pool");
}

CommandPool::~CommandPool() {
  device_->vk().vkDestroyCommandPool(device_->handle(), handle_, nullptr);
}

VkCommandBuffer CommandPool::record(const std::function<void(VkCommandBuffer)>& write) {
  const DeviceTable& vk = device_->vk();
  VkCommandBufferAllocateInfo info = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
  info.commandPool = handle_;
  info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  info.commandBufferCount = 1;
  VkCommandBuffer commands = VK_NULL_HANDLE;
  check(vk.vkAllocateCommandBuffers(device_->handle(), &info, &commands),
        "allocating a command buffer");
  const VkCommandBufferBeginInfo begin = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  check(vk.vkBeginCommandBuffer(commands, &begin), "recording commands");
  write(commands);
  check(vk.vkEndCommandBuffer(commands), "recording commands");
  return commands;
}

}  // namespace smartmem
