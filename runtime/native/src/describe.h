// What a device offers to compiled models, under the names that manifests need it by.
#pragma once

#include <string>

#include "device.h"

namespace smartmem {

// A JSON object: version, extensions, features, limits, subgroups, texel formats, memory.
std::string describe(const Device& device);

}  // namespace smartmem
