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
  std::vector<uint64_t> work;      // by command: the bytes it touches, for which its time is taken
  std::vector<StreamedWeight> weights;
};

// A weight in the arena, from its loading for step `first` on, through step `last`. In call k it may
// be loaded once step `release` of call k has finished, or, where that is negative, the step that
// many before the end of call k - 1.
struct Stay {
  uint32_t weight;
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

// What is wrong with a plan, in words; empty where nothing is. Written from the rules alone: shares
// no code with the planner (stream_check.cpp).
std::vector<std::string> violations(const StreamProblem& problem, const StreamPlan& plan);

}  // namespace smartmem
