#include "stream_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

namespace smartmem {
namespace {

// Weights up to this size are pinned first: reading one takes about as long as reading this much.
constexpr uint64_t kLoadCost = 64 << 10;
// A larger arena would only look further ahead; and every device can allocate this much at once.
constexpr uint64_t kLargestArena = uint64_t{1} << 30;
constexpr uint32_t kArenaSizes = 12;
// A step reads at most this part of the arena, so that loads go on while it runs.
constexpr uint64_t kStepsInArena = 8;
// What is read while commands run takes this part of its time from them: memory, and the processor
// where that computes. So what need not move stays.
constexpr double kHiddenCost = 1.0 / 8;
// How closely a budget is chosen.
constexpr uint64_t kBudgetParts = 64;

using Numbers = std::vector<uint32_t>;

// The weights that each command reads.
std::vector<Numbers> readers(const StreamProblem& problem) {
  std::vector<Numbers> read(problem.work.size());
  for (uint32_t w = 0; w < problem.weights.size(); ++w) {
    for (const uint32_t use : problem.weights[w].uses) read[use].push_back(w);
  }
  return read;
}

// Which weights stay, where pins may take `room` bytes.
class Pins {
 public:
  Pins(const StreamProblem& problem, const std::vector<Numbers>& read, uint64_t room)
      : problem_(problem), read_(read), room_(room), pinned_(problem.weights.size(), false) {
    moving_.resize(read.size());
    for (size_t c = 0; c < read.size(); ++c) {
      for (const uint32_t w : read[c]) moving_[c] += problem.weights[w].bytes;
    }
    pin_small();
    pin_used_again();
    level();
  }

  const std::vector<bool>& pinned() const { return pinned_; }
  // Of the command whose weights take the most.
  uint64_t most_moving() const {
    return moving_.empty() ? 0 : *std::max_element(moving_.begin(), moving_.end());
  }

 private:
  bool pin(uint32_t w) {
    const StreamedWeight& weight = problem_.weights[w];
    if (pinned_[w] || weight.bytes > room_) return false;
    pinned_[w] = true;
    room_ -= weight.bytes;
    for (const uint32_t use : weight.uses) moving_[use] -= weight.bytes;
    return true;
  }

  template <class Key>
  Numbers sorted(Key key) const {
    Numbers order(problem_.weights.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return key(a) < key(b); });
    return order;
  }

  void pin_small() {
    for (const uint32_t w : sorted([&](uint32_t n) { return problem_.weights[n].bytes; })) {
      if (problem_.weights[w].bytes > kLoadCost || !pin(w)) break;
    }
  }

  // What would be loaded several times in a call, the most often first.
  void pin_used_again() {
    const auto rest = [&](uint32_t n) {
      return std::numeric_limits<uint32_t>::max() - problem_.weights[n].uses.size();
    };
    for (const uint32_t w : sorted(rest)) {
      const Numbers& uses = problem_.weights[w].uses;
      if (uses.back() - uses.front() > 1) pin(w);
    }
  }

  // The largest weight of the command that loads the most, again and again: so loads are spread
  // over the call.
  void level() {
    std::vector<bool> is_done(read_.size(), false);
    for (size_t left = read_.size(); left > 0;) {
      size_t heaviest = read_.size();
      for (size_t c = 0; c < read_.size(); ++c) {
        const bool is_heavier = heaviest == read_.size() || moving_[c] > moving_[heaviest];
        if (!is_done[c] && is_heavier) heaviest = c;
      }
      std::optional<uint32_t> largest;
      for (const uint32_t w : read_[heaviest]) {
        const uint64_t bytes = problem_.weights[w].bytes;
        if (pinned_[w] || bytes > room_) continue;
        if (!largest || bytes > problem_.weights[*largest].bytes) largest = w;
      }
      if (!largest) {
        is_done[heaviest] = true;
        --left;
      } else {
        pin(*largest);
      }
    }
  }

  const StreamProblem& problem_;
  const std::vector<Numbers>& read_;
  uint64_t room_;
  std::vector<bool> pinned_;
  std::vector<uint64_t> moving_;  // by command: bytes of its weights that are not pinned
};

// Addresses and steps, for given pins.
class Ring {
 public:
  Ring(const StreamProblem& problem, const std::vector<Numbers>& read,
       const std::vector<bool>& pinned, uint64_t size)
      : problem_(problem), read_(read), pinned_(pinned), size_(size) {
    cut_steps();
    for (uint32_t step = 0; step < plan_.steps.size(); ++step) serve(step);
    for (const Stay& stay : plan_.stays) {
      plan_.arena_bytes = std::max(plan_.arena_bytes, stay.offset + bytes(stay.weight));
    }
    for (uint32_t w = 0; w < pinned.size(); ++w) {
      if (pinned[w]) plan_.pinned.push_back(w);
    }
    release_stays(problem_, plan_);
  }

  StreamPlan take() { return std::move(plan_); }

 private:
  uint64_t bytes(uint32_t weight) const { return problem_.weights[weight].bytes; }

  // Commands in a row are one step while what they read is a small part of the arena.
  void cut_steps() {
    const uint64_t most = size_ / kStepsInArena;
    uint64_t held = 0;
    Numbers needs;
    for (uint32_t command = 0; command < read_.size(); ++command) {
      uint64_t more = 0;
      for (const uint32_t w : read_[command]) {
        const bool is_there = std::find(needs.begin(), needs.end(), w) != needs.end();
        if (!pinned_[w] && !is_there) more += bytes(w);
      }
      if (command == 0 || (more > 0 && held + more > most)) {
        if (command > 0) needs_.push_back(needs);
        plan_.steps.push_back(command);
        needs.clear();
        held = 0;
      }
      for (const uint32_t w : read_[command]) {
        if (pinned_[w] || std::find(needs.begin(), needs.end(), w) != needs.end()) continue;
        needs.push_back(w);
        held += bytes(w);
      }
    }
    if (!read_.empty()) needs_.push_back(needs);
  }

  // Places what a step reads; weights of the step before stay where they are, if that leaves room.
  void serve(uint32_t step) {
    Numbers kept;
    for (uint32_t i = 0; i < plan_.stays.size(); ++i) {
      const Stay& stay = plan_.stays[i];
      if (step > 0 && stay.last == step - 1 && reads(step, stay.weight)) kept.push_back(i);
    }
    if (!place(step, kept)) place(step, {});
  }

  bool reads(uint32_t step, uint32_t weight) const {
    const Numbers& needs = needs_[step];
    return std::find(needs.begin(), needs.end(), weight) != needs.end();
  }

  bool place(uint32_t step, const Numbers& kept) {
    std::vector<Stay> fresh;
    uint64_t total = 0;
    for (const uint32_t w : needs_[step]) {
      const bool is_kept = std::any_of(kept.begin(), kept.end(), [&](uint32_t number) {
        return plan_.stays[number].weight == w;
      });
      if (is_kept) continue;
      fresh.push_back({w, step, step, step, total, 0});
      total += bytes(w);
    }
    if (!place_at(head_, total, kept) && !place_at(0, total, kept)) return false;
    for (Stay& stay : fresh) {
      stay.offset += head_;
      plan_.stays.push_back(stay);
    }
    head_ += total;
    for (const uint32_t number : kept) plan_.stays[number].last = step;
    return true;
  }

  // Whether a block is free of what is kept there; the head of the ring is at it then.
  bool place_at(uint64_t start, uint64_t size, const Numbers& kept) {
    if (start + size > size_) return false;
    for (const uint32_t number : kept) {
      const Stay& stay = plan_.stays[number];
      if (stay.offset < start + size && start < stay.offset + bytes(stay.weight)) return false;
    }
    head_ = start;
    return true;
  }

  const StreamProblem& problem_;
  const std::vector<Numbers>& read_;
  const std::vector<bool>& pinned_;
  const uint64_t size_;
  std::vector<Numbers> needs_;  // by step: the weights that are loaded for it
  uint64_t head_ = 0;
  StreamPlan plan_;
};

// What can be read in one unit of work. Where that is not known, all weights together take as long
// to read as all commands take to run: there a plan matters most.
double bytes_per_work(const StreamProblem& problem) {
  if (problem.bytes_per_work > 0) return problem.bytes_per_work;
  double weights = 0;
  double work = 0;
  for (const StreamedWeight& weight : problem.weights) weights += static_cast<double>(weight.bytes);
  for (const uint64_t part : problem.work) work += static_cast<double>(part);
  return weights / std::max(work, 1.0);
}

// How long a call takes once calls follow each other, in bytes that are read in that time.
double predicted(const StreamProblem& problem, const StreamPlan& plan) {
  const double rate = bytes_per_work(problem);
  const size_t count = plan.steps.size();
  double moved = 0;
  for (const Stay& stay : plan.stays) {
    moved += static_cast<double>(problem.weights[stay.weight].bytes);
  }
  std::vector<double> ends(2 * count, 0);
  double loaded = 0;
  double now = 0;
  for (size_t turn = 0; turn < ends.size(); ++turn) {
    const size_t step = turn % count;
    const auto start_of_call = static_cast<int64_t>(turn - step);
    for (const Stay& stay : plan.stays) {
      if (stay.first != step) continue;
      const int64_t free = start_of_call + stay.release;
      if (free >= 0) loaded = std::max(loaded, ends[static_cast<size_t>(free)]);
      loaded += static_cast<double>(problem.weights[stay.weight].bytes + kLoadCost);
      now = std::max(now, loaded);
    }
    const uint32_t end =
        step + 1 < count ? plan.steps[step + 1] : static_cast<uint32_t>(problem.work.size());
    for (uint32_t command = plan.steps[step]; command < end; ++command) {
      now += static_cast<double>(problem.work[command]) * rate;
    }
    now += static_cast<double>(kLoadCost);  // a submission is no cheaper
    ends[turn] = now;
  }
  return count == 0 ? 0 : ends.back() - ends[count - 1] + kHiddenCost * moved;
}

}  // namespace

uint64_t smallest_budget(const StreamProblem& problem) {
  uint64_t most = 0;
  for (const Numbers& row : readers(problem)) {
    uint64_t bytes = 0;
    for (const uint32_t w : row) bytes += problem.weights[w].bytes;
    most = std::max(most, bytes);
  }
  return problem.fixed_bytes + most;
}

uint64_t whole_budget(const StreamProblem& problem) {
  uint64_t total = problem.fixed_bytes;
  for (const StreamedWeight& weight : problem.weights) total += weight.bytes;
  return total;
}

StreamPlan plan_stream(const StreamProblem& problem, uint64_t budget_bytes) {
  const std::vector<Numbers> read = readers(problem);
  const uint64_t free = budget_bytes - problem.fixed_bytes;
  const uint64_t least = smallest_budget(problem) - problem.fixed_bytes;
  const uint64_t most = std::min(free, std::max(kLargestArena, least));
  std::vector<uint64_t> arenas = {0, std::min(least, most)};
  for (uint32_t i = 1; i <= kArenaSizes; ++i) arenas.push_back(most / kArenaSizes * i);
  arenas.push_back(most);
  std::optional<StreamPlan> best;
  double best_time = 0;
  for (const uint64_t arena : arenas) {
    const Pins pins(problem, read, free - arena);
    if (pins.most_moving() > arena) continue;
    StreamPlan plan = Ring(problem, read, pins.pinned(), arena).take();
    const double time = predicted(problem, plan);
    if (best && time >= best_time) continue;
    best = std::move(plan);
    best_time = time;
  }
  best->budget_bytes = budget_bytes;
  return std::move(*best);
}

uint64_t cheapest_budget(const StreamProblem& problem, double slowdown) {
  const uint64_t smallest = smallest_budget(problem);
  uint64_t good = whole_budget(problem);
  const double most = slowdown * predicted(problem, plan_stream(problem, good));
  uint64_t bad = smallest;
  if (predicted(problem, plan_stream(problem, smallest)) <= most) return smallest;
  const uint64_t close = (good - smallest) / kBudgetParts + 1;
  while (good - bad > close) {
    const uint64_t middle = bad + (good - bad) / 2;
    const bool is_good = predicted(problem, plan_stream(problem, middle)) <= most;
    (is_good ? good : bad) = middle;
  }
  return good;
}

}  // namespace smartmem
