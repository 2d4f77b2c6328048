#include "arena.h"

#include <algorithm>
#include <numeric>

namespace smartmem {

Placement place_blocks(const std::vector<Life>& blocks, uint64_t alignment) {
  std::vector<uint32_t> order(blocks.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return blocks[a].size > blocks[b].size; });
  Placement placement{std::vector<uint64_t>(blocks.size()), 0};
  std::vector<uint32_t> placed;  // by offset
  for (const uint32_t number : order) {
    const Life& block = blocks[number];
    uint64_t offset = 0;
    for (const uint32_t other : placed) {
      const bool apart = blocks[other].last < block.first || block.last < blocks[other].first;
      if (apart) continue;
      if (placement.offsets[other] >= offset + block.size) break;
      const uint64_t end = placement.offsets[other] + blocks[other].size;
      offset = std::max(offset, (end + alignment - 1) / alignment * alignment);
    }
    placement.offsets[number] = offset;
    placement.size = std::max(placement.size, offset + block.size);
    const auto by_offset = [&](uint32_t a, uint32_t b) {
      return placement.offsets[a] < placement.offsets[b];
    };
    placed.insert(std::upper_bound(placed.begin(), placed.end(), number, by_offset), number);
  }
  return placement;
}

}  // namespace smartmem
