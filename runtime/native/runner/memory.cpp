#include "memory.h"

#include <cstdlib>
#include <fstream>
#include <string>

namespace smartmem::runner {
namespace {

// The kilobytes after `key:` in a file of /proc, as bytes.
uint64_t field_of(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key + ":", 0) != 0) continue;
    return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10) << 10;
  }
  return 0;
}

}  // namespace

Memory read_memory() {
  constexpr const char* kStatus = "/proc/self/status";
  constexpr const char* kRollup = "/proc/self/smaps_rollup";
  return {field_of(kStatus, "VmHWM"), field_of(kRollup, "Pss"), field_of(kRollup, "SwapPss")};
}

}  // namespace smartmem::runner
