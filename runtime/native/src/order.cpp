#include "order.h"

#include <algorithm>

namespace smartmem {
namespace {

// The last wave that touched each byte of one buffer, as intervals that do not overlap.
class History {
 public:
  // The first wave in which `touch` may run.
  uint32_t earliest(const Touch& touch) const {
    uint32_t wave = 0;
    for (const Interval& past : intervals_) {
      if (past.begin >= touch.end || past.end <= touch.begin) continue;
      wave = std::max(wave, past.after_writes);
      if (touch.writes) wave = std::max(wave, past.after_reads);
    }
    return wave;
  }

  void add(const Touch& touch, uint32_t wave) {
    std::vector<Interval> next;
    uint64_t reached = touch.begin;
    for (const Interval& past : intervals_) {
      if (past.begin >= touch.end || past.end <= touch.begin) {
        next.push_back(past);
        continue;
      }
      if (past.begin < touch.begin) next.push_back({past.begin, touch.begin, past});
      const uint64_t begin = std::max(past.begin, touch.begin);
      const uint64_t end = std::min(past.end, touch.end);
      if (reached < begin) next.push_back(updated({reached, begin, 0, 0}, touch, wave));
      next.push_back(updated({begin, end, past}, touch, wave));
      if (past.end > touch.end) next.push_back({touch.end, past.end, past});
      reached = end;
    }
    if (reached < touch.end) next.push_back(updated({reached, touch.end, 0, 0}, touch, wave));
    std::sort(next.begin(), next.end(),
              [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
    intervals_ = std::move(next);
  }

 private:
  struct Interval {
    Interval(uint64_t b, uint64_t e, uint32_t w, uint32_t r)
        : begin(b), end(e), after_writes(w), after_reads(r) {}
    Interval(uint64_t b, uint64_t e, const Interval& like)
        : Interval(b, e, like.after_writes, like.after_reads) {}

    uint64_t begin;
    uint64_t end;
    uint32_t after_writes;  // the wave after the last that wrote
    uint32_t after_reads;
  };

  static Interval updated(Interval interval, const Touch& touch, uint32_t wave) {
    uint32_t& after = touch.writes ? interval.after_writes : interval.after_reads;
    after = std::max(after, wave + 1);
    return interval;
  }

  std::vector<Interval> intervals_;
};

}  // namespace

std::vector<Wave> plan_waves(const std::vector<std::vector<Touch>>& commands) {
  std::vector<History> histories;
  std::vector<Wave> waves;
  for (uint32_t number = 0; number < commands.size(); ++number) {
    uint32_t wave = 0;
    for (const Touch& touch : commands[number]) {
      if (touch.buffer >= histories.size()) histories.resize(touch.buffer + 1);
      wave = std::max(wave, histories[touch.buffer].earliest(touch));
    }
    for (const Touch& touch : commands[number]) histories[touch.buffer].add(touch, wave);
    if (wave >= waves.size()) waves.resize(wave + 1);
    waves[wave].push_back(number);
  }
  return waves;
}

Row in_a_row(const std::vector<Wave>& waves) {
  Row row;
  for (uint32_t wave = 0; wave < waves.size(); ++wave) {
    row.commands.insert(row.commands.end(), waves[wave].begin(), waves[wave].end());
    row.waves.resize(row.commands.size(), wave);
  }
  return row;
}

}  // namespace smartmem
