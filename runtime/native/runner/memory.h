// Memory of this process, as Linux and Android tell it.
#pragma once

#include <cstdint>

namespace smartmem::runner {

// 0 for what the system does not tell.
struct Memory {
  uint64_t peak_bytes = 0;          // VmHWM: the most that was resident
  uint64_t proportional_bytes = 0;  // PSS: shared pages in parts
  uint64_t swapped_bytes = 0;       // SwapPss: where phones hide memory, compressed
};

Memory read_memory();

}  // namespace smartmem::runner
