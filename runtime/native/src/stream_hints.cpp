#include "stream_hints.h"

#include <algorithm>
#include <unordered_map>

#include "json.h"

namespace smartmem {
namespace {

constexpr uint64_t kVersion = 1;

void require(bool condition, const char* what) {
  if (!condition) fail(SM_BAD_FILE, what);
}

std::vector<uint64_t> integers(const Json& parent, const char* key) {
  std::vector<uint64_t> found;
  for (const Json& item : parent.list(key)) found.push_back(item.as_integer());
  return found;
}

GivenPlan read_plan(const Json& item, size_t commands) {
  GivenPlan plan;
  for (const uint64_t first : integers(item, "steps")) {
    const bool is_next = plan.steps.empty() ? first == 0 : first > plan.steps.back();
    require(is_next && first < commands, "a plan whose steps are not the schedule's");
    plan.steps.push_back(static_cast<uint32_t>(first));
  }
  require(!plan.steps.empty(), "a plan without steps");
  for (const Json& row : item.list("stays")) {
    const uint64_t start = row.integer("start"), first = row.integer("first");
    const uint64_t last = row.integer("last");
    require(start <= first && first <= last && last < plan.steps.size(), "a weight at no time");
    require(plan.stays.empty() || plan.stays.back().start <= start, "weights out of order");
    plan.stays.push_back({row.text("weight"), static_cast<uint32_t>(start),
                          static_cast<uint32_t>(first), static_cast<uint32_t>(last)});
  }
  return plan;
}

StreamHints read(const Json& file, size_t commands) {
  if (file.integer("version") != kVersion) fail(SM_BAD_FILE, "of another version");
  StreamHints hints;
  hints.budget_bytes = file.integer("budget_bytes");
  hints.read_bytes_per_s = file.integer("read_bytes_per_s");
  hints.times_ns = integers(file, "times_ns");
  require(hints.times_ns.size() == commands, "times of other commands than the schedule's");
  if (!file.object("plan").members().empty()) hints.plan = read_plan(file.object("plan"), commands);
  return hints;
}

}  // namespace

StreamHints read_stream_hints(const std::string& path, size_t commands) {
  if (!is_file(path)) return {};
  const MappedFile file(path);
  try {
    return read(Json::parse(file.bytes()), commands);
  } catch (const Error& error) {
    fail(error.code(), path, ": ", error.what());
  }
}

std::optional<StreamPlan> adopt(const StreamSet& set, const GivenPlan& given,
                                uint64_t budget_bytes) {
  std::unordered_map<std::string, uint32_t> weights;
  for (uint32_t w = 0; w < set.entries.size(); ++w) weights.emplace(set.entries[w]->key, w);
  StreamPlan plan;
  plan.budget_bytes = budget_bytes;
  plan.steps = given.steps;
  std::vector<bool> moves(set.entries.size(), false);
  for (const GivenStay& stay : given.stays) {
    const auto found = weights.find(stay.key);
    if (found == weights.end()) continue;  // it stays here whatever the plan
    moves[found->second] = true;
    plan.stays.push_back({found->second, stay.start, stay.first, stay.last, 0, 0});
  }
  for (uint32_t w = 0; w < moves.size(); ++w) {
    if (!moves[w]) plan.pinned.push_back(w);
  }
  place_stays(set.problem, plan);
  if (!violations(set.problem, plan).empty()) return std::nullopt;
  return plan;
}

}  // namespace smartmem
