// In which order commands run, and where barriers stand between them.
#pragma once

#include <cstdint>
#include <vector>

namespace smartmem {

// Bytes of a buffer that a command reads or writes.
struct Touch {
  uint32_t buffer;
  uint64_t begin;
  uint64_t end;
  bool writes;
};

// Commands that may run at once, by number; a barrier stands between one wave and the next.
using Wave = std::vector<uint32_t>;

// Puts each command into the first wave after all earlier commands it conflicts with: those that
// touch the same bytes, where one of the two writes. So there are as few barriers as the longest
// chain of conflicts allows. Takes commands in program order; within a wave they stay in it.
std::vector<Wave> plan_waves(const std::vector<std::vector<Touch>>& commands);

// Waves in a row: commands by number as they run, and the wave of each.
struct Row {
  std::vector<uint32_t> commands;
  std::vector<uint32_t> waves;
};
Row in_a_row(const std::vector<Wave>& waves);

}  // namespace smartmem
