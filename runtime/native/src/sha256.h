// SHA-256 (FIPS 180-4): schedules and kernels are compared with the hash they were written under.
#pragma once

#include <array>

#include "file.h"

namespace smartmem {

using Digest = std::array<uint8_t, 32>;

Digest sha256(Bytes content);

}  // namespace smartmem
