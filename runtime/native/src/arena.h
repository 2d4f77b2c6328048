// Scratch memory: resources whose lives do not overlap share bytes.
#pragma once

#include <cstdint>
#include <vector>

namespace smartmem {

// A block that is needed from command `first` to command `last`, both included.
struct Life {
  uint64_t size;
  uint32_t first;
  uint32_t last;
  uint64_t alignment = 1;  // beside that of all blocks; powers of two
};

struct Placement {
  std::vector<uint64_t> offsets;
  uint64_t size;
};

// Other lives of the same blocks: those that overlap in them shall share nothing, either, as far as
// that takes no more than `limit` bytes.
struct Wish {
  const std::vector<Life>& lives;
  uint64_t limit;
};

// Places each block at the lowest offset free for its whole life, the largest blocks first.
Placement place_blocks(const std::vector<Life>& blocks, uint64_t alignment,
                       const Wish* wish = nullptr);

}  // namespace smartmem
