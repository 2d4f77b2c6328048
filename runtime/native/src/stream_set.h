// The weights of a model that can be streamed, as the planner sees them on a device.
#pragma once

#include "archive.h"
#include "device.h"
#include "layout.h"
#include "stream_plan.h"

namespace smartmem {

constexpr uint32_t kNoWeight = 0xFFFFFFFF;

struct StreamSet {
  StreamProblem problem;
  std::vector<uint32_t> resources;    // by weight
  std::vector<const Entry*> entries;  // by weight; of the archive
  std::vector<uint32_t> weight_of;    // by resource, or kNoWeight
  std::vector<uint32_t> place_of;     // by command: its place in the row of all waves
};

// `fixed_bytes` of weights stay whatever the plan. Throws SM_BAD_FILE where the archive's entries
// have no checksums, or are smaller than the weights.
StreamSet make_stream_set(const DevicePtr& device, const Schedule& schedule, const Layout& layout,
                          const std::vector<bool>& streamed, const Archive& archive,
                          uint64_t fixed_bytes);

// What can be read while commands run, where their times are known: nanoseconds each.
void set_times(StreamSet& set, const std::vector<uint64_t>& times_ns, uint64_t read_bytes_per_s);

// The same weights where commands run in the order of another layout.
StreamSet in_the_order_of(const Layout& layout, const StreamSet& set, const Schedule& schedule);

// The set's plan under a budget. Throws SM_INVALID_ARGUMENT below the smallest budget, naming it.
StreamPlan plan_within(const StreamSet& set, uint64_t budget_bytes);

}  // namespace smartmem
