// Addresses in the arena for a schedule that is given: first fit in a few orders, the best wins.
#include <algorithm>
#include <numeric>

#include "stream_plan.h"

namespace smartmem {
namespace {

class Places {
 public:
  Places(const StreamProblem& problem, const StreamPlan& plan) : problem_(problem), plan_(plan) {}

  uint64_t bytes(const Stay& stay) const { return problem_.weights[stay.weight].bytes; }

  // Each stay in turn at the lowest place that is free all the time it needs.
  std::vector<uint64_t> first_fit(const std::vector<uint32_t>& order) const {
    std::vector<uint64_t> offsets(plan_.stays.size(), 0);
    std::vector<uint32_t> placed;
    for (const uint32_t number : order) {
      const Stay& stay = plan_.stays[number];
      std::vector<std::pair<uint64_t, uint64_t>> taken;
      for (const uint32_t other : placed) {
        const Stay& held = plan_.stays[other];
        if (held.start > stay.last || stay.start > held.last) continue;
        taken.emplace_back(offsets[other], offsets[other] + bytes(held));
      }
      std::sort(taken.begin(), taken.end());
      uint64_t offset = 0;
      for (const auto& [begin, end] : taken) {
        if (begin >= offset + bytes(stay)) break;
        offset = std::max(offset, end);
      }
      offsets[number] = offset;
      placed.push_back(number);
    }
    return offsets;
  }

  uint64_t end_of(const std::vector<uint64_t>& offsets) const {
    uint64_t end = 0;
    for (size_t i = 0; i < offsets.size(); ++i) {
      end = std::max(end, offsets[i] + bytes(plan_.stays[i]));
    }
    return end;
  }

 private:
  const StreamProblem& problem_;
  const StreamPlan& plan_;
};

// The last step before that uses any of its bytes.
int64_t release_of(const StreamProblem& problem, const StreamPlan& plan, const Stay& stay) {
  const auto steps = static_cast<int64_t>(plan.steps.size());
  int64_t release = -steps;
  for (const Stay& other : plan.stays) {
    const bool is_apart = other.offset >= stay.offset + problem.weights[stay.weight].bytes ||
                          stay.offset >= other.offset + problem.weights[other.weight].bytes;
    if (is_apart) continue;
    const auto last = static_cast<int64_t>(other.last);
    release = std::max(release, other.last < stay.start ? last : last - steps);
  }
  return release;
}

}  // namespace

void place_stays(const StreamProblem& problem, StreamPlan& plan) {
  const Places places(problem, plan);
  const auto time = [&](uint32_t i) { return plan.stays[i].last - plan.stays[i].start; };
  const auto bytes = [&](uint32_t i) { return places.bytes(plan.stays[i]); };
  std::vector<uint32_t> order(plan.stays.size());
  std::iota(order.begin(), order.end(), 0);
  std::vector<uint64_t> best = places.first_fit(order);
  const auto take_better = [&](auto is_before) {
    std::stable_sort(order.begin(), order.end(), is_before);
    const std::vector<uint64_t> found = places.first_fit(order);
    if (places.end_of(found) < places.end_of(best)) best = found;
  };
  take_better([&](uint32_t a, uint32_t b) { return bytes(a) > bytes(b); });
  take_better([&](uint32_t a, uint32_t b) { return time(a) > time(b); });
  take_better([&](uint32_t a, uint32_t b) { return bytes(a) * time(a) > bytes(b) * time(b); });
  for (size_t i = 0; i < best.size(); ++i) plan.stays[i].offset = best[i];
  plan.arena_bytes = places.end_of(best);
  release_stays(problem, plan);
}

void release_stays(const StreamProblem& problem, StreamPlan& plan) {
  for (Stay& stay : plan.stays) stay.release = release_of(problem, plan, stay);
}

}  // namespace smartmem
