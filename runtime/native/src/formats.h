// The texel formats of tensors.
#pragma once

#include <cstdint>

#include "vulkan.h"

namespace smartmem {

// Bytes of a texel; 0 for a format that schedules do not use.
inline uint32_t texel_bytes(uint32_t format) {
  switch (format) {
    case VK_FORMAT_R8_UINT:
      return 1;
    case VK_FORMAT_R8G8_UINT:
    case VK_FORMAT_R16_UINT:
    case VK_FORMAT_R16_SFLOAT:
      return 2;
    case VK_FORMAT_R8G8B8A8_UINT:
    case VK_FORMAT_R16G16_UINT:
    case VK_FORMAT_R16G16_SFLOAT:
    case VK_FORMAT_R32_UINT:
    case VK_FORMAT_R32_SFLOAT:
      return 4;
    case VK_FORMAT_R16G16B16A16_UINT:
    case VK_FORMAT_R16G16B16A16_SFLOAT:
    case VK_FORMAT_R32G32_UINT:
    case VK_FORMAT_R32G32_SFLOAT:
      return 8;
    case VK_FORMAT_R32G32B32A32_UINT:
    case VK_FORMAT_R32G32B32A32_SFLOAT:
      return 16;
    default:
      return 0;
  }
}

// The format that SPIR-V's number of an image's format stands for; undefined for one that schedules
// do not write.
inline VkFormat format_of_spirv(uint32_t number) {
  switch (number) {
    case 1:
      return VK_FORMAT_R32G32B32A32_SFLOAT;
    case 2:
      return VK_FORMAT_R16G16B16A16_SFLOAT;
    case 30:
      return VK_FORMAT_R32G32B32A32_UINT;
    case 31:
      return VK_FORMAT_R16G16B16A16_UINT;
    case 32:
      return VK_FORMAT_R8G8B8A8_UINT;
    default:
      return VK_FORMAT_UNDEFINED;
  }
}

inline uint64_t rounded(uint64_t size, uint64_t multiple) {
  return (size + multiple - 1) / multiple * multiple;
}

}  // namespace smartmem
