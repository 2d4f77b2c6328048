#include "features.h"

#include <cstring>

namespace smartmem {
namespace {

bool has_extension(const std::vector<VkExtensionProperties>& extensions, const char* name) {
  for (const VkExtensionProperties& extension : extensions) {
    if (std::strcmp(extension.extensionName, name) == 0) return true;
  }
  return false;
}

// SPIR-V capabilities, by the specification's numbers, that IREE's kernels declare.
enum Capability : uint32_t {
  kMatrix = 0,
  kShader = 1,
  kFloat16 = 9,
  kFloat64 = 10,
  kInt64 = 11,
  kInt16 = 22,
  kInt8 = 39,
  kSampledBuffer = 46,
  kGroupNonUniform = 61,
  kGroupNonUniformVote = 62,
  kGroupNonUniformArithmetic = 63,
  kGroupNonUniformBallot = 64,
  kGroupNonUniformShuffle = 65,
  kGroupNonUniformShuffleRelative = 66,
  kGroupNonUniformClustered = 67,
  kStorageBuffer16 = 4433,
  kUniformAndStorageBuffer16 = 4434,
  kStoragePushConstant16 = 4435,
  kStorageBuffer8 = 4448,
  kUniformAndStorageBuffer8 = 4449,
  kStoragePushConstant8 = 4450,
  kDotProductInputAll = 6016,
  kDotProductInput4x8Bit = 6017,
  kDotProductInput4x8BitPacked = 6018,
  kDotProduct = 6019,
};

}  // namespace

Features::Features(const InstanceTable& vk, VkPhysicalDevice device, uint32_t api_version,
                   const std::vector<VkExtensionProperties>& extensions) {
  void** tail = &core_.pNext;
  // A structure may be in the chain where its version or its extension is there.
  const auto add = [&](auto& features, uint32_t since, const char* extension) {
    const bool is_core = api_version >= since;
    if (!is_core && !has_extension(extensions, extension)) return;
    if (!is_core) enabled_.push_back(extension);
    *tail = &features;
    tail = &features.pNext;
  };
  add(storage16_, VK_API_VERSION_1_1, VK_KHR_16BIT_STORAGE_EXTENSION_NAME);
  add(storage8_, VK_API_VERSION_1_2, VK_KHR_8BIT_STORAGE_EXTENSION_NAME);
  add(float16_int8_, VK_API_VERSION_1_2, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME);
  add(timeline_, VK_API_VERSION_1_2, VK_KHR_TIMELINE_SEMAPHORE_EXTENSION_NAME);
  add(query_reset_, VK_API_VERSION_1_2, VK_EXT_HOST_QUERY_RESET_EXTENSION_NAME);
  add(subgroup_, VK_API_VERSION_1_3, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
  add(dot_product_, VK_API_VERSION_1_3, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME);
  vk.vkGetPhysicalDeviceFeatures2(device, &core_);
  // Of the core features only those that kernels declare: some others cost speed.
  const VkPhysicalDeviceFeatures found = core_.features;
  core_.features = {};
  core_.features.shaderFloat64 = found.shaderFloat64;
  core_.features.shaderInt64 = found.shaderInt64;
  core_.features.shaderInt16 = found.shaderInt16;
}

bool Features::allows(uint32_t capability, VkSubgroupFeatureFlags operations) const {
  switch (capability) {
    case kMatrix:
    case kShader:
    case kSampledBuffer:
      return true;
    case kFloat16:
      return float16_int8_.shaderFloat16;
    case kInt8:
      return float16_int8_.shaderInt8;
    case kFloat64:
      return core_.features.shaderFloat64;
    case kInt64:
      return core_.features.shaderInt64;
    case kInt16:
      return core_.features.shaderInt16;
    case kGroupNonUniform:
      return operations & VK_SUBGROUP_FEATURE_BASIC_BIT;
    case kGroupNonUniformVote:
      return operations & VK_SUBGROUP_FEATURE_VOTE_BIT;
    case kGroupNonUniformArithmetic:
      return operations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
    case kGroupNonUniformBallot:
      return operations & VK_SUBGROUP_FEATURE_BALLOT_BIT;
    case kGroupNonUniformShuffle:
      return operations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    case kGroupNonUniformShuffleRelative:
      return operations & VK_SUBGROUP_FEATURE_SHUFFLE_RELATIVE_BIT;
    case kGroupNonUniformClustered:
      return operations & VK_SUBGROUP_FEATURE_CLUSTERED_BIT;
    case kStorageBuffer16:
      return storage16_.storageBuffer16BitAccess;
    case kUniformAndStorageBuffer16:
      return storage16_.uniformAndStorageBuffer16BitAccess;
    case kStoragePushConstant16:
      return storage16_.storagePushConstant16;
    case kStorageBuffer8:
      return storage8_.storageBuffer8BitAccess;
    case kUniformAndStorageBuffer8:
      return storage8_.uniformAndStorageBuffer8BitAccess;
    case kStoragePushConstant8:
      return storage8_.storagePushConstant8;
    case kDotProduct:
    case kDotProductInputAll:
    case kDotProductInput4x8Bit:
    case kDotProductInput4x8BitPacked:
      return dot_product_.shaderIntegerDotProduct;
    default:
      return false;
  }
}

}  // namespace smartmem
