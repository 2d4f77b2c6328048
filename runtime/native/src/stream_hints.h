// What the compiler tells of streaming (targets/NAME/stream.json, runtime/stream_file.py): how long
// commands may take, and the plan that it made for the budget it was given.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "stream_set.h"

namespace smartmem {

// Beside the schedule.
constexpr const char* kHintsFile = "stream.json";

// A stay of a weight, by its key in the archive; steps as in Stay.
struct GivenStay {
  std::string key;
  uint32_t start;
  uint32_t first;
  uint32_t last;
};

// Steps are of the schedule's commands, in the order of the schedule.
struct GivenPlan {
  std::vector<uint32_t> steps;
  std::vector<GivenStay> stays;  // in the order of loading; what has none is pinned
};

struct StreamHints {
  uint64_t budget_bytes = 0;  // that the model was compiled with; 0: none
  uint64_t read_bytes_per_s = 0;
  std::vector<uint64_t> times_ns;  // by command; none where they are not known
  std::optional<GivenPlan> plan;  // none where nothing moves
};

// The file's content; nothing where there is no such file. Throws SM_BAD_FILE where it does not fit
// a schedule of so many commands.
StreamHints read_stream_hints(const std::string& path, size_t commands);

// The plan that was given, on this device: `set` is of a layout that keeps to the plan's steps.
// Nothing where weights are larger here, or cannot move, so that it is over the budget.
std::optional<StreamPlan> adopt(const StreamSet& set, const GivenPlan& given,
                                uint64_t budget_bytes);

}  // namespace smartmem
