// Tensors in files: numpy's .npy (format 1 to 3, row-major, little-endian), or their bare bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "smartmem.h"

namespace smartmem::runner {

using Content = std::vector<uint8_t>;

// The bytes of a tensor of this form. Integers of another width are converted where they fit.
// Throws SM_BAD_FILE where the file holds something else.
Content read_tensor(const std::string& path, const sm_tensor& form);

// Of a normal kind for floats; 0 and 1 for integers, valid as indices and as masks.
Content random_tensor(const sm_tensor& form, uint32_t seed);

// Writes .npy; bfloat16, which that does not know, as its bits (uint16).
void write_tensor(const std::string& path, const sm_tensor& form, const Content& content);

}  // namespace smartmem::runner
