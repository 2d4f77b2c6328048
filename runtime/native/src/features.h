// What kernels may ask of a device, and how a device is asked for it.
#pragma once

#include <cstdint>
#include <vector>

#include "vulkan.h"

namespace smartmem {

// The features of a device that kernels or the executor use, all in one chain of structures:
// filled by a query, it is what a device is created with.
class Features {
 public:
  // Asks a physical device of `api_version` with these extensions.
  Features(const InstanceTable& vk, VkPhysicalDevice device, uint32_t api_version,
           const std::vector<VkExtensionProperties>& extensions);
  Features(const Features&) = delete;
  Features& operator=(const Features&) = delete;

  const void* chain() const { return &core_; }
  const std::vector<const char*>& extensions() const { return enabled_; }

  bool has_timeline() const { return timeline_.timelineSemaphore == VK_TRUE; }
  // Whether the host can make timestamps ready, so that queues that only copy can write them.
  bool has_host_query_reset() const { return query_reset_.hostQueryReset == VK_TRUE; }
  bool can_set_subgroup_size() const { return subgroup_.subgroupSizeControl == VK_TRUE; }

  // Whether kernels may declare a SPIR-V capability.
  bool allows(uint32_t capability, VkSubgroupFeatureFlags subgroup_operations) const;

 private:
  VkPhysicalDeviceFeatures2 core_ = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
  VkPhysicalDevice16BitStorageFeatures storage16_ = {
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES};
  VkPhysicalDevice8BitStorageFeatures storage8_ = {
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES};
  VkPhysicalDeviceShaderFloat16Int8Features float16_int8_ = {
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES};
  VkPhysicalDeviceTimelineSemaphoreFeatures timeline_ = {
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES};
  VkPhysicalDeviceHostQueryResetFeatures query_reset_ = {
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_HOST_QUERY_RESET_FEATURES};
  VkPhysicalDeviceSubgroupSizeControlFeatures subgroup_ = {
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot_product_ = {
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES};
  std::vector<const char*> enabled_;
};

}  // namespace smartmem
