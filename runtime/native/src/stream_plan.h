// How weights move through memory under a budget: which stay, and when and where the others come.
//
// Weights that do not stay are loaded in each call, in the order in which they are needed, into an
// arena: a ring in which the next weight overwrites the one that was used longest ago. So each has
// one address per call, loads run ahead as far as the arena allows, and on into the next call.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace smartmem {

// `uses`: the commands that read it, by their place in the order of running, ascending. `bytes`:
// what it takes in memory, a multiple of the problem's alignment.
struct StreamedWeight {
  uint64_t bytes;
  std::vector<uint32_t> uses;
};

struct StreamProblem {
  uint64_t alignment = 1;
  uint64_t fixed_bytes = 0;        // weights that can be no part of a plan: they stay
  std::vector<uint64_t> work;      // by command: its time in any unit, such as the bytes it touches
  double bytes_per_work = 0;       // what can be read in one unit of that; 0: not known
  std::vector<StreamedWeight> weights;
};

// A weight in the arena, for the steps from `first` through `last`. It is loaded after all stays
// whose `start` is smaller: `start` is `first`, or an earlier step, whose time its loading takes. In
// call k it may be loaded once step `release` of call k has finished, or, where that is negative,
// the step that many before the end of call k - 1.
struct Stay {
  uint32_t weight;
  uint32_t start;
  uint32_t first;
  uint32_t last;
  uint64_t offset;
  int64_t release;
};

// Step i runs the commands from steps[i] on, up to the next step's.
struct StreamPlan {
  uint64_t budget_bytes = 0;
  uint64_t arena_bytes = 0;
  std::vector<uint32_t> steps;
  std::vector<uint32_t> pinned;  // weights, ascending
  std::vector<Stay> stays;       // in the order of loading
};

// No plan takes less: what stays anyway, and the weights of the command that reads the most.
uint64_t smallest_budget(const StreamProblem& problem);

// At this budget nothing moves.
uint64_t whole_budget(const StreamProblem& problem);

// A plan for a budget of at least the smallest. Greedy: pins and arena share the budget; of several
// sizes of the arena the one with the least predicted time is taken.
StreamPlan plan_stream(const StreamProblem& problem, uint64_t budget_bytes);

// The smallest budget whose plan is predicted to take at most `slowdown` times as long as a call
// with all weights in memory, to a 64th of the way between the smallest and all. What can be read
// in the time of the commands must be known.
uint64_t cheapest_budget(const StreamProblem& problem, double slowdown);

// Gives stays their places: those that are in memory at one time share no byte. The arena is as
// large as that takes. `stays` are in the order of loading, with steps but no places yet.
void place_stays(const StreamProblem& problem, StreamPlan& plan);

// When the places of stays are free: sets `release` of each.
void release_stays(const StreamProblem& problem, StreamPlan& plan);

// What is wrong with a plan, in words; empty where nothing is. Written from the rules alone: shares
// no code with the planner (stream_check.cpp).
std::vector<std::string> violations(const StreamProblem& problem, const StreamPlan& plan);

}  // namespace smartmem
