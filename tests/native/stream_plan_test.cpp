// Random problems: every plan passes the checker, and the checker finds what is broken in a plan.
//
// c++ -std=c++17 -I INCLUDE -iquote SRC stream_plan_test.cpp stream_plan.cpp stream_place.cpp stream_check.cpp
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "stream_plan.h"

namespace {

using smartmem::plan_stream;
using smartmem::Stay;
using smartmem::StreamPlan;
using smartmem::StreamProblem;
using smartmem::violations;

std::mt19937 generator(1);

uint32_t random_to(uint32_t most) { return std::uniform_int_distribution<uint32_t>(0, most)(generator); }

StreamProblem random_problem() {
  StreamProblem problem;
  problem.alignment = uint64_t{1} << random_to(8);
  problem.fixed_bytes = random_to(3) == 0 ? random_to(100000) : 0;
  problem.work.resize(random_to(40));
  for (uint64_t& work : problem.work) work = random_to(100000);
  if (problem.work.empty()) return problem;
  problem.weights.resize(random_to(60));
  const uint32_t last = static_cast<uint32_t>(problem.work.size()) - 1;
  for (auto& weight : problem.weights) {
    const uint32_t size = random_to(2) == 0 ? 1 + random_to(20) : 1 + random_to(100000);
    weight.bytes = problem.alignment * size;
    uint32_t use = random_to(last);
    do {
      weight.uses.push_back(use);
      use += 1 + (random_to(1) == 0 ? 0 : random_to(20));
    } while (use <= last && random_to(2) == 0);
  }
  return problem;
}

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::exit(1);
}

// Each kind of damage is found, where the plan has what it damages.
void damage(const StreamProblem& problem, const StreamPlan& plan) {
  const auto is_found = [&](auto change) {
    StreamPlan broken = plan;
    change(broken);
    return !violations(problem, broken).empty();
  };
  const auto any = [&](const auto& list) { return random_to(static_cast<uint32_t>(list.size()) - 1); };
  require(is_found([](StreamPlan& p) {
            p.budget_bytes = p.arena_bytes;
            p.arena_bytes += 1;
          }),
          "over the budget");
  if (plan.pinned.size() > 0) {
    require(is_found([&](StreamPlan& p) { p.pinned.erase(p.pinned.begin() + any(p.pinned)); }),
            "a weight that is nowhere");
  }
  if (plan.stays.empty()) return;
  const uint32_t i = any(plan.stays);
  const Stay& stay = plan.stays[i];
  require(is_found([&](StreamPlan& p) { p.stays.erase(p.stays.begin() + i); }), "a use without a load");
  require(is_found([&](StreamPlan& p) { p.stays[i].release = stay.first; }), "a load too late");
  require(is_found([&](StreamPlan& p) { p.stays[i].offset = p.arena_bytes; }), "outside the arena");
  if (problem.alignment > 1) {
    require(is_found([&](StreamPlan& p) { p.stays[i].offset += 1; }), "not aligned");
  }
  require(is_found([&](StreamPlan& p) { p.stays[i].release -= 1; }), "a load into bytes in use");
  require(is_found([&](StreamPlan& p) { p.pinned.push_back(stay.weight); }), "pinned and moved");
  for (uint32_t j = 0; j < plan.stays.size(); ++j) {
    const Stay& other = plan.stays[j];
    if (j == i || other.last < stay.first || stay.last < other.first) continue;
    require(is_found([&](StreamPlan& p) { p.stays[j].offset = stay.offset; }), "one place for two");
  }
}

// Steps and times of stays without places, as a plan from elsewhere gives them.
StreamPlan given_plan(const StreamProblem& problem) {
  StreamPlan plan;
  plan.budget_bytes = UINT64_MAX;
  for (uint32_t command = 0; command < problem.work.size(); ++command) {
    if (command == 0 || random_to(2) > 0) plan.steps.push_back(command);
  }
  const auto step_of = [&](uint32_t command) {
    const auto after = std::upper_bound(plan.steps.begin(), plan.steps.end(), command);
    return static_cast<uint32_t>(after - plan.steps.begin() - 1);
  };
  for (uint32_t w = 0; w < problem.weights.size(); ++w) {
    if (random_to(3) == 0) {
      plan.pinned.push_back(w);
      continue;
    }
    int64_t before = -1;  // its last step so far
    for (const uint32_t use : problem.weights[w].uses) {
      const uint32_t step = step_of(use);
      if (step <= before) continue;
      if (before >= 0 && random_to(1) == 0) {
        plan.stays.back().last = step;  // it waits
      } else {
        const auto earliest = static_cast<uint32_t>(before + 1);
        plan.stays.push_back({w, earliest + random_to(step - earliest), step, step, 0, 0});
      }
      before = step;
    }
  }
  std::stable_sort(plan.stays.begin(), plan.stays.end(),
                   [](const Stay& a, const Stay& b) { return a.start < b.start; });
  return plan;
}

void check_places(const StreamProblem& problem) {
  StreamPlan plan = given_plan(problem);
  smartmem::place_stays(problem, plan);
  for (const std::string& what : violations(problem, plan)) {
    std::fprintf(stderr, "a plan that was given: %s\n", what.c_str());
    std::exit(1);
  }
  damage(problem, plan);
}

// Slower calls need no more memory; with all of it in memory none is slower.
void check_choice(StreamProblem problem, uint64_t least, uint64_t all) {
  problem.bytes_per_work = 0.1 * random_to(30) + 0.01;
  uint64_t before = all;
  for (const double slowdown : {1.0, 1.5, 4.0, 1e9}) {
    const uint64_t budget = smartmem::cheapest_budget(problem, slowdown);
    require(least <= budget && budget <= before, "a budget that is chosen");
    before = budget;
  }
  require(before == least, "any slowdown is allowed");
}

}  // namespace

int main() {
  int streamed = 0;
  for (int round = 0; round < 600; ++round) {
    const StreamProblem problem = random_problem();
    const uint64_t least = smartmem::smallest_budget(problem);
    const uint64_t all = smartmem::whole_budget(problem);
    if (!problem.work.empty()) check_places(problem);
    if (round % 8 == 0) check_choice(problem, least, all);
    for (const uint64_t budget : {least, least + (all - least) / 3, least + (all - least) * 4 / 5, all}) {
      const StreamPlan plan = plan_stream(problem, budget);
      for (const std::string& what : violations(problem, plan)) {
        std::fprintf(stderr, "round %d, budget %llu: %s\n", round,
                     static_cast<unsigned long long>(budget), what.c_str());
        return 1;
      }
      if (budget == all) require(plan.stays.empty() && plan.steps.size() <= 1, "all of it fits");
      damage(problem, plan);
      streamed += plan.stays.empty() ? 0 : 1;
    }
  }
  require(streamed > 800, "most plans stream");
  return 0;
}
