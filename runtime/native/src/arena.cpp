#include "arena.h"

#include <algorithm>
#include <numeric>

namespace smartmem {

namespace {

bool overlap(const Life& a, const Life& b) { return a.first <= b.last && b.first <= a.last; }

class Placer {
 public:
  Placer(const std::vector<Life>& blocks, uint64_t alignment)
      : blocks_(blocks), alignment_(alignment), offsets_(blocks.size()) {}

  // The lowest offset at which a block meets none of those that `conflicts`.
  template <class Conflicts>
  uint64_t lowest(uint32_t number, const Conflicts& conflicts) const {
    const uint64_t alignment = std::max(alignment_, blocks_[number].alignment);
    uint64_t offset = 0;
    for (const uint32_t other : by_offset_) {
      if (!conflicts(other)) continue;
      if (offsets_[other] >= offset + blocks_[number].size) break;
      const uint64_t end = offsets_[other] + blocks_[other].size;
      offset = std::max(offset, (end + alignment - 1) / alignment * alignment);
    }
    return offset;
  }

  void put(uint32_t number, uint64_t offset) {
    offsets_[number] = offset;
    const auto is_lower = [&](uint32_t a, uint32_t b) { return offsets_[a] < offsets_[b]; };
    by_offset_.insert(std::upper_bound(by_offset_.begin(), by_offset_.end(), number, is_lower),
                      number);
  }

  Placement take() {
    uint64_t size = 0;
    for (const uint32_t number : by_offset_) {
      size = std::max(size, offsets_[number] + blocks_[number].size);
    }
    return {std::move(offsets_), size};
  }

 private:
  const std::vector<Life>& blocks_;
  const uint64_t alignment_;
  std::vector<uint64_t> offsets_;
  std::vector<uint32_t> by_offset_;
};

}  // namespace

Placement place_blocks(const std::vector<Life>& blocks, uint64_t alignment, const Wish* wish) {
  std::vector<uint32_t> order(blocks.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return blocks[a].size > blocks[b].size; });
  Placer placer(blocks, alignment);
  for (const uint32_t number : order) {
    const auto lives = [&](uint32_t other) { return overlap(blocks[number], blocks[other]); };
    if (wish != nullptr) {
      const uint64_t offset = placer.lowest(number, [&](uint32_t other) {
        return lives(other) || overlap(wish->lives[number], wish->lives[other]);
      });
      if (offset + blocks[number].size <= wish->limit) {
        placer.put(number, offset);
        continue;
      }
    }
    placer.put(number, placer.lowest(number, lives));
  }
  return placer.take();
}

}  // namespace smartmem
