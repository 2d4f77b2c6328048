// What a SPIR-V module says of itself, as far as a schedule can be checked against it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "schedule.h"

namespace smartmem {

struct Shader {
  std::vector<uint32_t> capabilities;
  std::array<uint32_t, 3> local_size = {1, 1, 1};
  std::map<uint32_t, BindingKind> bindings;  // of set 0
  std::map<uint32_t, uint32_t> formats;      // VkFormats of those that are written images
};

// Reads the compute shader `entry`. Throws SM_BAD_FILE naming the file where there is none, where
// an instruction is cut short, or where it binds anything but buffers, texel buffers and images of
// set 0.
Shader read_shader(Bytes code, const std::string& entry, const std::string& name);

}  // namespace smartmem
