// Vulkan's functions, found at run time: nothing links to the loader.
#pragma once

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include "error.h"

namespace smartmem {

#define SM_INSTANCE_FUNCTIONS(F)           \
  F(vkCreateDevice)                        \
  F(vkDestroyInstance)                     \
  F(vkEnumerateDeviceExtensionProperties)  \
  F(vkEnumeratePhysicalDevices)            \
  F(vkGetDeviceProcAddr)                   \
  F(vkGetPhysicalDeviceFeatures2)          \
  F(vkGetPhysicalDeviceFormatProperties)   \
  F(vkGetPhysicalDeviceMemoryProperties)   \
  F(vkGetPhysicalDeviceProperties2)        \
  F(vkGetPhysicalDeviceQueueFamilyProperties)

#define SM_DEVICE_FUNCTIONS(F)     \
  F(vkAllocateCommandBuffers)      \
  F(vkAllocateDescriptorSets)      \
  F(vkAllocateMemory)              \
  F(vkBeginCommandBuffer)          \
  F(vkBindBufferMemory)            \
  F(vkBindImageMemory)             \
  F(vkCmdBindDescriptorSets)       \
  F(vkCmdBindPipeline)             \
  F(vkCmdCopyBuffer)               \
  F(vkCmdCopyBufferToImage)        \
  F(vkCmdDispatch)                 \
  F(vkCmdFillBuffer)               \
  F(vkCmdPipelineBarrier)          \
  F(vkCmdPushConstants)            \
  F(vkCmdResetQueryPool)           \
  F(vkCmdWriteTimestamp)           \
  F(vkCreateBuffer)                \
  F(vkCreateBufferView)            \
  F(vkCreateCommandPool)           \
  F(vkCreateComputePipelines)      \
  F(vkCreateDescriptorPool)        \
  F(vkCreateDescriptorSetLayout)   \
  F(vkCreateImage)                 \
  F(vkCreateImageView)             \
  F(vkCreatePipelineCache)         \
  F(vkCreatePipelineLayout)        \
  F(vkCreateQueryPool)             \
  F(vkCreateSemaphore)             \
  F(vkCreateShaderModule)          \
  F(vkDestroyBuffer)               \
  F(vkDestroyBufferView)           \
  F(vkDestroyCommandPool)          \
  F(vkDestroyDescriptorPool)       \
  F(vkDestroyDescriptorSetLayout)  \
  F(vkDestroyDevice)               \
  F(vkDestroyImage)                \
  F(vkDestroyImageView)            \
  F(vkDestroyPipeline)             \
  F(vkDestroyPipelineCache)        \
  F(vkDestroyPipelineLayout)       \
  F(vkDestroyQueryPool)            \
  F(vkDestroySemaphore)            \
  F(vkDestroyShaderModule)         \
  F(vkDeviceWaitIdle)              \
  F(vkEndCommandBuffer)            \
  F(vkFreeMemory)                  \
  F(vkGetBufferMemoryRequirements) \
  F(vkGetDeviceQueue)              \
  F(vkGetImageMemoryRequirements)  \
  F(vkGetPipelineCacheData)        \
  F(vkGetQueryPoolResults)         \
  F(vkMapMemory)                   \
  F(vkQueueSubmit)                 \
  F(vkUpdateDescriptorSets)

// Core from Vulkan 1.2 on; before, of VK_KHR_timeline_semaphore and with its suffix.
#define SM_TIMELINE_FUNCTIONS(F) \
  F(vkGetSemaphoreCounterValue)  \
  F(vkWaitSemaphores)

// The same, of VK_EXT_host_query_reset; NULL where the device has not even that.
#define SM_OPTIONAL_FUNCTIONS(F) F(vkResetQueryPool)

#define SM_MEMBER(name) PFN_##name name = nullptr;
struct InstanceTable {
  SM_INSTANCE_FUNCTIONS(SM_MEMBER)
};
struct DeviceTable {
  SM_DEVICE_FUNCTIONS(SM_MEMBER)
  SM_TIMELINE_FUNCTIONS(SM_MEMBER)
  SM_OPTIONAL_FUNCTIONS(SM_MEMBER)
};
#undef SM_MEMBER

// An instance of Vulkan and its functions.
class Instance {
 public:
  // Throws SM_NO_VULKAN where there is no loader or no driver.
  Instance();
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  VkInstance handle() const { return handle_; }
  const InstanceTable& vk() const { return vk_; }

 private:
  VkInstance handle_ = VK_NULL_HANDLE;
  InstanceTable vk_;
};

// The device's functions, without the loader's detour.
DeviceTable load_device_table(const InstanceTable& instance, VkDevice device);

// What sm_set_vulkan gives.
void set_vulkan(PFN_vkGetInstanceProcAddr get_instance_proc_addr);

// Throws what a failed call means; `doing` is a clause such as "allocating memory".
void check(VkResult result, const char* doing);

}  // namespace smartmem
