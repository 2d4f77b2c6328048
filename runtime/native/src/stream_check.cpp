// The rules of stream_plan.h, checked pair by pair.
#include <algorithm>

#include "error.h"
#include "stream_plan.h"

namespace smartmem {
namespace {

class Checker {
 public:
  Checker(const StreamProblem& problem, const StreamPlan& plan) : problem_(problem), plan_(plan) {}

  std::vector<std::string> run() {
    check_steps();
    check_stays();
    if (!found_.empty()) return std::move(found_);  // what follows relies on sound numbers
    check_uses();
    check_budget();
    check_bytes();
    return std::move(found_);
  }

 private:
  template <class... Parts>
  void say(const Parts&... parts) {
    found_.push_back(text(parts...));
  }

  int64_t steps() const { return static_cast<int64_t>(plan_.steps.size()); }

  uint64_t end_of(const Stay& stay) const {
    return stay.offset + problem_.weights[stay.weight].bytes;
  }

  bool is_pinned(uint32_t weight) const {
    return std::count(plan_.pinned.begin(), plan_.pinned.end(), weight) > 0;
  }

  void check_steps() {
    const bool starts = problem_.work.empty() || (!plan_.steps.empty() && plan_.steps[0] == 0);
    if (!starts) say("the first command is in no step");
    for (size_t i = 0; i < plan_.steps.size(); ++i) {
      if (plan_.steps[i] >= problem_.work.size()) say("step ", i, " starts after the last command");
      if (i > 0 && plan_.steps[i] <= plan_.steps[i - 1]) say("step ", i, " is empty");
    }
  }

  void check_stays() {
    for (const uint32_t weight : plan_.pinned) {
      if (weight >= problem_.weights.size()) say("weight ", weight, " is pinned, but there is none");
    }
    for (size_t i = 0; i < plan_.stays.size(); ++i) {
      const Stay& stay = plan_.stays[i];
      if (stay.weight >= problem_.weights.size()) {
        say("stay ", i, " is of no weight");
        continue;
      }
      if (stay.start > stay.first || stay.first > stay.last || stay.last >= steps()) {
        say("stay ", i, " is at no time");
      }
      if (stay.offset % problem_.alignment != 0) say("stay ", i, " is not aligned");
      if (end_of(stay) > plan_.arena_bytes) say("stay ", i, " lies outside the arena");
      if (i > 0 && stay.start < plan_.stays[i - 1].start) say("stay ", i, " is loaded out of order");
      if (is_pinned(stay.weight)) say("weight ", stay.weight, " is pinned and moves");
      // Later, loading it could wait for a step that waits for it, or for what is loaded after it.
      if (stay.release >= int64_t{stay.start}) say("stay ", i, " is loaded too late");
      if (stay.release < -steps()) say("stay ", i, " is loaded more than a call ahead");
    }
  }

  void check_uses() {
    for (uint32_t w = 0; w < problem_.weights.size(); ++w) {
      if (is_pinned(w)) continue;
      for (const uint32_t use : problem_.weights[w].uses) {
        const auto after = std::upper_bound(plan_.steps.begin(), plan_.steps.end(), use);
        const auto step = static_cast<uint32_t>(after - plan_.steps.begin() - 1);
        const auto there = std::count_if(
            plan_.stays.begin(), plan_.stays.end(), [&](const Stay& stay) {
              return stay.weight == w && stay.first <= step && step <= stay.last;
            });
        if (there != 1) say("command ", use, " reads weight ", w, ", which is there ", there, " times");
      }
    }
  }

  void check_budget() {
    uint64_t held = problem_.fixed_bytes + plan_.arena_bytes;
    for (const uint32_t weight : plan_.pinned) held += problem_.weights[weight].bytes;
    if (held > plan_.budget_bytes) {
      say(held, " bytes in memory, over the budget of ", plan_.budget_bytes);
    }
  }

  // A stay has its bytes from the end of step `release` through the end of step `last`, in each
  // call. Two that share bytes must have them one after the other, in one call and in the next.
  void check_bytes() {
    for (size_t i = 0; i < plan_.stays.size(); ++i) {
      for (size_t j = 0; j < plan_.stays.size(); ++j) {
        const Stay &one = plan_.stays[i], &other = plan_.stays[j];
        if (one.offset >= end_of(other) || other.offset >= end_of(one)) continue;
        const bool in_turn = one.release >= static_cast<int64_t>(other.last) ||
                             other.release >= static_cast<int64_t>(one.last);
        if (i < j && !in_turn) say("stays ", i, " and ", j, " share bytes in a call");
        const bool in_turn_next = other.release + steps() >= static_cast<int64_t>(one.last);
        if (!in_turn_next) say("stay ", j, " takes the bytes of stay ", i, " of the call before");
      }
    }
  }

  const StreamProblem& problem_;
  const StreamPlan& plan_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> violations(const StreamProblem& problem, const StreamPlan& plan) {
  return Checker(problem, plan).run();
}

}  // namespace smartmem
