// The system's Vulkan with faults: what hardware here cannot be made to do.
//
// sm_set_vulkan(faulty_get_instance_proc_addr) puts it between the executor and the loader. Devices
// call themselves discrete, so that staging is used, and if asked have a family of queues that only
// copy (in truth the only queue that there is). The n-th call that may fail does, and all
// objects that were made and not destroyed are counted.
#include <dlfcn.h>

#include <atomic>
#include <cstring>

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

namespace {

std::atomic<long> calls_to_failure{-1};
std::atomic<int> failure{VK_SUCCESS};
std::atomic<long> live_objects{0};
std::atomic<bool> splits_queues{false};
PFN_vkGetInstanceProcAddr get_real_instance = nullptr;
PFN_vkGetDeviceProcAddr get_real_device = nullptr;

bool fails() { return calls_to_failure.load() >= 0 && calls_to_failure.fetch_sub(1) == 0; }

VkResult injected() { return static_cast<VkResult>(failure.load()); }

void use_one_family(VkCommandPoolCreateInfo& info) { info.queueFamilyIndex = 0; }
void use_one_family(VkBufferCreateInfo& info) { info.sharingMode = VK_SHARING_MODE_EXCLUSIVE; }
void use_one_family(VkImageCreateInfo& info) { info.sharingMode = VK_SHARING_MODE_EXCLUSIVE; }
template <class Info>
void use_one_family(Info&) {}

// Functions that make one object, and those that destroy one.
#define CREATING(F)                                                        \
  F(vkAllocateMemory, VkMemoryAllocateInfo, VkDeviceMemory)                \
  F(vkCreateBuffer, VkBufferCreateInfo, VkBuffer)                          \
  F(vkCreateBufferView, VkBufferViewCreateInfo, VkBufferView)              \
  F(vkCreateCommandPool, VkCommandPoolCreateInfo, VkCommandPool)           \
  F(vkCreateDescriptorPool, VkDescriptorPoolCreateInfo, VkDescriptorPool)  \
  F(vkCreateDescriptorSetLayout, VkDescriptorSetLayoutCreateInfo, VkDescriptorSetLayout) \
  F(vkCreateImage, VkImageCreateInfo, VkImage)                             \
  F(vkCreateImageView, VkImageViewCreateInfo, VkImageView)                 \
  F(vkCreatePipelineCache, VkPipelineCacheCreateInfo, VkPipelineCache)     \
  F(vkCreatePipelineLayout, VkPipelineLayoutCreateInfo, VkPipelineLayout)  \
  F(vkCreateQueryPool, VkQueryPoolCreateInfo, VkQueryPool)                 \
  F(vkCreateSemaphore, VkSemaphoreCreateInfo, VkSemaphore)                 \
  F(vkCreateShaderModule, VkShaderModuleCreateInfo, VkShaderModule)

#define DESTROYING(F)                                       \
  F(vkFreeMemory, VkDeviceMemory)                           \
  F(vkDestroyBuffer, VkBuffer)                              \
  F(vkDestroyBufferView, VkBufferView)                      \
  F(vkDestroyCommandPool, VkCommandPool)                    \
  F(vkDestroyDescriptorPool, VkDescriptorPool)              \
  F(vkDestroyDescriptorSetLayout, VkDescriptorSetLayout)    \
  F(vkDestroyImage, VkImage)                                \
  F(vkDestroyImageView, VkImageView)                        \
  F(vkDestroyPipeline, VkPipeline)                          \
  F(vkDestroyPipelineCache, VkPipelineCache)                \
  F(vkDestroyPipelineLayout, VkPipelineLayout)              \
  F(vkDestroyQueryPool, VkQueryPool)                        \
  F(vkDestroySemaphore, VkSemaphore)                        \
  F(vkDestroyShaderModule, VkShaderModule)

#define DEFINE(name, Info, Object)                                                     \
  PFN_##name real_##name = nullptr;                                                    \
  VkResult name(VkDevice device, const Info* info, const VkAllocationCallbacks* memory, \
                Object* object) {                                                      \
    if (fails()) return injected();                                                    \
    Info changed = *info;                                                              \
    if (splits_queues) use_one_family(changed);                                        \
    const VkResult result = real_##name(device, &changed, memory, object);             \
    if (result == VK_SUCCESS) ++live_objects;                                          \
    return result;                                                                     \
  }
CREATING(DEFINE)
#undef DEFINE

#define DEFINE(name, Object)                                                             \
  PFN_##name real_##name = nullptr;                                                      \
  void name(VkDevice device, Object object, const VkAllocationCallbacks* memory) {       \
    if (object != VK_NULL_HANDLE) --live_objects;                                        \
    real_##name(device, object, memory);                                                 \
  }
DESTROYING(DEFINE)
#undef DEFINE

PFN_vkCreateComputePipelines real_vkCreateComputePipelines = nullptr;
PFN_vkQueueSubmit real_vkQueueSubmit = nullptr;
PFN_vkWaitSemaphores real_vkWaitSemaphores = nullptr;
PFN_vkGetPhysicalDeviceProperties2 real_vkGetPhysicalDeviceProperties2 = nullptr;

VkResult vkCreateComputePipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                  const VkComputePipelineCreateInfo* infos,
                                  const VkAllocationCallbacks* memory, VkPipeline* pipelines) {
  if (fails()) return injected();
  const VkResult result =
      real_vkCreateComputePipelines(device, cache, count, infos, memory, pipelines);
  if (result == VK_SUCCESS) live_objects += count;
  return result;
}

VkResult vkQueueSubmit(VkQueue queue, uint32_t count, const VkSubmitInfo* infos, VkFence fence) {
  return fails() ? injected() : real_vkQueueSubmit(queue, count, infos, fence);
}

VkResult vkWaitSemaphores(VkDevice device, const VkSemaphoreWaitInfo* info, uint64_t timeout) {
  const VkResult result = real_vkWaitSemaphores(device, info, timeout);
  return fails() ? injected() : result;
}

void vkGetPhysicalDeviceProperties2(VkPhysicalDevice device, VkPhysicalDeviceProperties2* found) {
  real_vkGetPhysicalDeviceProperties2(device, found);
  found->properties.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
}

// A second family, of which nothing below learns: its queue and pools are the first one's, and
// what the two would share has one owner.
PFN_vkGetPhysicalDeviceQueueFamilyProperties real_vkGetPhysicalDeviceQueueFamilyProperties =
    nullptr;
PFN_vkCreateDevice real_vkCreateDevice = nullptr;
PFN_vkGetDeviceQueue real_vkGetDeviceQueue = nullptr;

void vkGetPhysicalDeviceQueueFamilyProperties(VkPhysicalDevice device, uint32_t* count,
                                              VkQueueFamilyProperties* families) {
  if (!splits_queues || families == nullptr || *count < 2) {
    real_vkGetPhysicalDeviceQueueFamilyProperties(device, count, families);
    if (splits_queues) ++*count;
    return;
  }
  uint32_t one = 1;
  real_vkGetPhysicalDeviceQueueFamilyProperties(device, &one, families);
  families[1] = families[0];
  families[1].queueFlags = VK_QUEUE_TRANSFER_BIT;
}

VkResult vkCreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo* info,
                        const VkAllocationCallbacks* memory, VkDevice* device) {
  VkDeviceCreateInfo changed = *info;
  if (splits_queues) changed.queueCreateInfoCount = 1;
  return real_vkCreateDevice(physical, &changed, memory, device);
}

void vkGetDeviceQueue(VkDevice device, uint32_t family, uint32_t number, VkQueue* queue) {
  real_vkGetDeviceQueue(device, splits_queues ? 0 : family, number, queue);
}

#define WRAP(name, ...)                                                      \
  if (std::strcmp(wanted, #name) == 0) {                                     \
    real_##name = reinterpret_cast<PFN_##name>(real);                        \
    return reinterpret_cast<PFN_vkVoidFunction>(static_cast<PFN_##name>(name)); \
  }

PFN_vkVoidFunction get_device(VkDevice device, const char* wanted) {
  const PFN_vkVoidFunction real = get_real_device(device, wanted);
  CREATING(WRAP)
  DESTROYING(WRAP)
  WRAP(vkCreateComputePipelines)
  WRAP(vkQueueSubmit)
  WRAP(vkWaitSemaphores)
  WRAP(vkGetDeviceQueue)
  return real;
}

}  // namespace

extern "C" {

PFN_vkVoidFunction faulty_get_instance_proc_addr(VkInstance instance, const char* wanted) {
  if (get_real_instance == nullptr) {
    void* library = dlopen("libvulkan.so.1", RTLD_NOW);
    get_real_instance =
        reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
  }
  const PFN_vkVoidFunction real = get_real_instance(instance, wanted);
  if (std::strcmp(wanted, "vkGetDeviceProcAddr") == 0) {
    get_real_device = reinterpret_cast<PFN_vkGetDeviceProcAddr>(real);
    return reinterpret_cast<PFN_vkVoidFunction>(get_device);
  }
  WRAP(vkGetPhysicalDeviceProperties2)
  WRAP(vkGetPhysicalDeviceQueueFamilyProperties)
  WRAP(vkCreateDevice)
  return real;
}

// Lets the call after `calls` others fail with this VkResult; negative: none.
void faulty_arm(long calls, int result) {
  failure = result;
  calls_to_failure = calls;
}

// Whether the armed call has been made.
int faulty_has_failed(void) { return calls_to_failure.load() < 0 && failure.load() != VK_SUCCESS; }

// For devices opened afterwards.
void faulty_split_queues(int yes) { splits_queues = yes != 0; }

long faulty_live_objects(void) { return live_objects.load(); }
}
