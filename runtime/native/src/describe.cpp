#include "describe.h"

#include "formats.h"
#include "json_writer.h"

namespace smartmem {
namespace {

template <class Number>
struct Named {
  Number number;
  const char* name;
};

// Vulkan's name of the feature that a SPIR-V capability stands for, as passes/iree/needs.py has it.
constexpr Named<uint32_t> kFeatures[] = {
    {9, "shaderFloat16"},
    {10, "shaderFloat64"},
    {11, "shaderInt64"},
    {22, "shaderInt16"},
    {39, "shaderInt8"},
    {4433, "storageBuffer16BitAccess"},
    {4434, "uniformAndStorageBuffer16BitAccess"},
    {4435, "storagePushConstant16"},
    {4448, "storageBuffer8BitAccess"},
    {4449, "uniformAndStorageBuffer8BitAccess"},
    {4450, "storagePushConstant8"},
    {6019, "shaderIntegerDotProduct"},
};

constexpr Named<VkSubgroupFeatureFlagBits> kSubgroupOperations[] = {
    {VK_SUBGROUP_FEATURE_BASIC_BIT, "basic"},
    {VK_SUBGROUP_FEATURE_VOTE_BIT, "vote"},
    {VK_SUBGROUP_FEATURE_ARITHMETIC_BIT, "arithmetic"},
    {VK_SUBGROUP_FEATURE_BALLOT_BIT, "ballot"},
    {VK_SUBGROUP_FEATURE_SHUFFLE_BIT, "shuffle"},
    {VK_SUBGROUP_FEATURE_SHUFFLE_RELATIVE_BIT, "shuffle relative"},
    {VK_SUBGROUP_FEATURE_CLUSTERED_BIT, "clustered"},
};

#define SM_FORMAT(name) {VK_FORMAT_##name, #name}
constexpr Named<VkFormat> kFormats[] = {
    SM_FORMAT(R8_UINT),      SM_FORMAT(R8G8_UINT),          SM_FORMAT(R8G8B8A8_UINT),
    SM_FORMAT(R16_UINT),     SM_FORMAT(R16G16_UINT),        SM_FORMAT(R16G16B16A16_UINT),
    SM_FORMAT(R16_SFLOAT),   SM_FORMAT(R16G16_SFLOAT),      SM_FORMAT(R16G16B16A16_SFLOAT),
    SM_FORMAT(R32_UINT),     SM_FORMAT(R32G32_UINT),        SM_FORMAT(R32G32B32A32_UINT),
    SM_FORMAT(R32_SFLOAT),   SM_FORMAT(R32G32_SFLOAT),      SM_FORMAT(R32G32B32A32_SFLOAT),
};
#undef SM_FORMAT

std::string version_text(uint32_t version) {
  return text(VK_API_VERSION_MAJOR(version), ".", VK_API_VERSION_MINOR(version), ".",
              VK_API_VERSION_PATCH(version));
}

// The names of a table whose numbers the device has.
template <class Number, size_t count, class Has>
void write_names(JsonWriter& json, const char* key, const Named<Number> (&table)[count], Has has) {
  json.key(key).begin_list();
  for (const auto& [number, name] : table) {
    if (has(number)) json.value(name);
  }
  json.end_list();
}

void write_subgroups(JsonWriter& json, const Device& device) {
  const auto& range = device.subgroup_sizes();
  const VkSubgroupFeatureFlags operations = device.subgroup().supportedOperations;
  write_names(json, "subgroup_operations", kSubgroupOperations,
              [&](VkSubgroupFeatureFlagBits bit) { return (operations & bit) != 0; });
  const bool can_choose = device.features().can_set_subgroup_size() &&
                          (range.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
  json.key("subgroup_sizes").begin_list();
  if (!can_choose) json.value(device.subgroup().subgroupSize);
  for (uint32_t size = range.minSubgroupSize; can_choose && size <= range.maxSubgroupSize;
       size *= 2) {
    json.value(size);
  }
  json.end_list();
}

}  // namespace

std::string describe(const Device& device) {
  const VkPhysicalDeviceProperties& properties = device.properties();
  const VkPhysicalDeviceLimits& limits = device.limits();
  const VkSubgroupFeatureFlags operations = device.subgroup().supportedOperations;
  JsonWriter json;
  json.begin_object()
      .member("name", properties.deviceName)
      .member("vulkan", version_text(properties.apiVersion))
      .key("extensions")
      .begin_list();
  for (const std::string& name : device.extension_names()) json.value(name);
  json.end_list();
  write_names(json, "features", kFeatures, [&](uint32_t capability) {
    return device.features().allows(capability, operations);
  });
  write_subgroups(json, device);
  write_names(json, "texel_formats", kFormats,
              [&](VkFormat format) { return device.has_texel_format(format); });
  write_names(json, "image_formats", kFormats,
              [&](VkFormat format) { return device.has_image_format(format); });
  write_names(json, "written_image_formats", kFormats,
              [&](VkFormat format) { return device.has_written_format(format); });
  json.member("storage_buffers", limits.maxPerStageDescriptorStorageBuffers)
      .member("written_images", limits.maxPerStageDescriptorStorageImages)
      .member("push_constant_bytes", limits.maxPushConstantsSize)
      .member("storage_buffer_range", limits.maxStorageBufferRange)
      .member("workgroup_threads", limits.maxComputeWorkGroupInvocations)
      .member("shared_memory_bytes", limits.maxComputeSharedMemorySize)
      .member("largest_heap_bytes", device.largest_heap_bytes())
      .end_object();
  return json.text();
}

}  // namespace smartmem
