// The system's Vulkan with faults: what hardware here cannot be made to do.
//
// sm_set_vulkan(faulty_get_instance_proc_addr) puts it between the executor and the loader. Devices
// call themselves discrete, so that staging is used. The n-th call that may fail does, and all
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
PFN_vkGetInstanceProcAddr get_real_instance = nullptr;
PFN_vkGetDeviceProcAddr get_real_device = nullptr;

bool fails() { return calls_to_failure.load() >= 0 && calls_to_failure.fetch_sub(1) == 0; }

VkResult injected() { return static_cast<VkResult>(failure.load()); }

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
    const VkResult result = real_##name(device, info, memory, object);                 \
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
  return real;
}

// Lets the call after `calls` others fail with this VkResult; negative: none.
void faulty_arm(long calls, int result) {
  failure = result;
  calls_to_failure = calls;
}

// Whether the armed call has been made.
int faulty_has_failed(void) { return calls_to_failure.load() < 0 && failure.load() != VK_SUCCESS; }

long faulty_live_objects(void) { return live_objects.load(); }
}
