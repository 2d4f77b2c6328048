// CRC-32 as zlib, PNG and Ethernet have it (polynomial 0x04C11DB7, reflected).
#pragma once

#include "file.h"

namespace smartmem {

// The checksum of what `crc` is of and then `more`; 0 is that of nothing.
uint32_t crc32(uint32_t crc, Bytes more);

}  // namespace smartmem
