#include "stream_set.h"

#include <algorithm>

#include "formats.h"
#include "images.h"

namespace smartmem {
namespace {

constexpr double kNanosecondsPerSecond = 1e9;

void add_uses(StreamSet& set, const Schedule& schedule, const Row& row) {
  set.problem.work.assign(row.commands.size(), 0);
  set.place_of.resize(row.commands.size());
  for (uint32_t place = 0; place < row.commands.size(); ++place) {
    set.place_of[row.commands[place]] = place;
    for (const Use& use : schedule.commands[row.commands[place]].uses) {
      set.problem.work[place] += use.length;
      const uint32_t weight = set.weight_of[use.resource];
      if (weight == kNoWeight) continue;
      std::vector<uint32_t>& uses = set.problem.weights[weight].uses;
      if (uses.empty() || uses.back() != place) uses.push_back(place);
    }
  }
}

}  // namespace

StreamSet make_stream_set(const DevicePtr& device, const Schedule& schedule, const Layout& layout,
                          const std::vector<bool>& streamed, const Archive& archive,
                          uint64_t fixed_bytes) {
  StreamSet set;
  set.problem.fixed_bytes = fixed_bytes;
  uint64_t alignment = weight_alignment(device->limits());
  set.weight_of.assign(schedule.resources.size(), kNoWeight);
  for (const Upload& upload : schedule.uploads) {
    if (!streamed[upload.resource]) continue;
    const Entry& entry = archive.entry(upload.key);
    if (entry.size != upload.length) {
      fail(SM_BAD_FILE, archive.path(), ": the weight '", upload.key, "' has ", entry.size,
           " bytes, not ", upload.length);
    }
    if (entry.crcs.empty() && entry.size > 0) {
      fail(SM_BAD_FILE, archive.path(), ": the weight '", upload.key,
           "' has no checksums, so it cannot be streamed; compile the model again");
    }
    uint64_t bytes = upload.length;
    const auto image = layout.streamed_images.find(upload.resource);
    if (image != layout.streamed_images.end()) {
      const VkMemoryRequirements needs = Image(device, image->second, true).needs();
      bytes = needs.size;
      // Images and buffers lie in one arena.
      alignment = std::max({alignment, needs.alignment,
                            uint64_t{device->limits().bufferImageGranularity}});
    }
    set.weight_of[upload.resource] = static_cast<uint32_t>(set.resources.size());
    set.resources.push_back(upload.resource);
    set.entries.push_back(&entry);
    set.problem.weights.push_back({bytes, {}});
  }
  set.problem.alignment = alignment;
  for (StreamedWeight& weight : set.problem.weights) weight.bytes = rounded(weight.bytes, alignment);
  add_uses(set, schedule, in_a_row(layout.waves));
  return set;
}

void set_times(StreamSet& set, const std::vector<uint64_t>& times_ns, uint64_t read_bytes_per_s) {
  if (times_ns.empty() || read_bytes_per_s == 0) return;
  for (size_t command = 0; command < times_ns.size(); ++command) {
    set.problem.work[set.place_of[command]] = times_ns[command];
  }
  set.problem.bytes_per_work = static_cast<double>(read_bytes_per_s) / kNanosecondsPerSecond;
}

StreamSet in_the_order_of(const Layout& layout, const StreamSet& set, const Schedule& schedule) {
  StreamSet other = set;
  for (StreamedWeight& weight : other.problem.weights) weight.uses.clear();
  add_uses(other, schedule, in_a_row(layout.waves));
  return other;
}

StreamPlan plan_within(const StreamSet& set, uint64_t budget_bytes) {
  const uint64_t least = smallest_budget(set.problem);
  if (budget_bytes < least) {
    fail(SM_INVALID_ARGUMENT, "a budget of ", budget_bytes,
         " bytes is too small for this model's weights; the smallest feasible one is ", least,
         " bytes: ", set.problem.fixed_bytes, " that cannot move, and ",
         least - set.problem.fixed_bytes, " that one command reads");
  }
  StreamPlan plan = plan_stream(set.problem, budget_bytes);
  for (const std::string& what : violations(set.problem, plan)) {
    fail(SM_DEVICE_FAILED, "a plan for ", budget_bytes, " bytes is wrong: ", what);
  }
  return plan;
}

}  // namespace smartmem
