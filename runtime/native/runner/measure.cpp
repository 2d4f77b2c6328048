#include "measure.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "clock.h"

namespace smartmem::runner {
namespace {

double median_of(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const size_t half = samples.size() / 2;
  return samples.size() % 2 == 1 ? samples[half] : (samples[half - 1] + samples[half]) / 2;
}

std::vector<double> every_second(const std::vector<double>& samples, size_t first) {
  std::vector<double> found;
  for (size_t i = first; i < samples.size(); i += 2) found.push_back(samples[i]);
  return found.empty() ? samples : found;
}

using Spans = std::vector<std::pair<int64_t, int64_t>>;

// Their union, as spans that do not touch.
Spans merged(Spans spans) {
  std::sort(spans.begin(), spans.end());
  Spans found;
  for (const auto& [start, end] : spans) {
    if (!found.empty() && start <= found.back().second) {
      found.back().second = std::max(found.back().second, end);
    } else {
      found.emplace_back(start, end);
    }
  }
  return found;
}

double length_ms(const Spans& spans) {
  double total = 0;
  for (const auto& [start, end] : spans) total += static_cast<double>(end - start) * 1e-6;
  return total;
}

// That of the target, or of the only one where the name is empty; 0 for none.
uint64_t compiled_budget(const sm_bundle* bundle, const std::string& target) {
  for (size_t i = 0; i < sm_bundle_target_count(bundle); ++i) {
    if (target.empty() || target == sm_bundle_target(bundle, i)) {
      return sm_bundle_target_budget(bundle, i);
    }
  }
  return 0;
}

bool same_content(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Tensor& x, const Tensor& y) {
    return x.content == y.content;
  });
}

}  // namespace

Warm warm_of(const std::vector<double>& samples) {
  const double even = median_of(every_second(samples, 0));
  const double odd = median_of(every_second(samples, 1));
  return {median_of(samples), *std::min_element(samples.begin(), samples.end()),
          *std::max_element(samples.begin(), samples.end()), samples.size(),
          std::abs(even - odd) / std::min(even, odd)};
}

Program::Program(const sm_bundle* bundle, sm_device* device, const Options& options,
                 std::vector<Tensor> inputs, std::vector<Tensor> outputs)
    : inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      time_limit_ns_(static_cast<uint64_t>(options.time_limit_s * 1e9)) {
  const Stopwatch watch;
  const char* target = options.target.empty() ? nullptr : options.target.c_str();
  const char* cache = options.cache_folder.empty() ? nullptr : options.cache_folder.c_str();
  const uint64_t compiled = compiled_budget(bundle, options.target);
  const bool streams = options.budget > 0 || options.budget_is_auto || compiled > 0;
  const auto open = streams ? sm_bundle_stream : sm_bundle_load;
  model_ = make<Model>(
      [&](sm_model** model) { call(open, bundle, device, target, cache, model); });
  uint64_t smallest = 0;
  uint64_t whole = 0;
  sm_model_get_budgets(model_.get(), &smallest, &whole);
  const double share = options.budget_is_share ? static_cast<double>(whole) : 1;
  uint64_t budget = options.budget > 0 ? static_cast<uint64_t>(options.budget * share) : compiled;
  if (options.budget_is_auto) {
    call(sm_model_choose_budget, model_.get(), SM_AUTO_SLOWDOWN, &budget);
  }
  session_ = make<Session>([&](sm_session** session) {
    if (streams) {
      call(sm_session_create_within, model_.get(), budget, session);
    } else {
      call(sm_session_create, model_.get(), session);
    }
  });
  load_.milliseconds = watch.milliseconds();
  sm_model_get_stats(model_.get(), &load_.stats);
}

double Program::run() {
  const Stopwatch watch;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Content& content = inputs_[i].content;
    // What the model does not read has no place there.
    if (sm_model_input_bytes(model_.get(), i) == 0) continue;
    call(sm_session_set_input, session_.get(), i, content.data(), content.size());
  }
  call(sm_session_submit, session_.get());
  wait();
  for (size_t i = 0; i < outputs_.size(); ++i) {
    Content& content = outputs_[i].content;
    call(sm_session_get_output, session_.get(), i, content.data(), content.size());
  }
  return watch.milliseconds();
}

void Program::wait() {
  sm_error error = {};
  const sm_code code = sm_session_wait(session_.get(), SM_WAIT_BLOCK, time_limit_ns_, &error);
  if (code == SM_OK) return;
  if (code != SM_TIMEOUT) throw Error(code, error.message);
  // The GPU may never answer, and to release what it uses is to wait for it.
  std::fprintf(stderr, "smartmem-run: no answer within %g s\n",
               static_cast<double>(time_limit_ns_) / 1e9);
  std::_Exit(kDeviceExit);
}

std::optional<Streaming> Program::streaming() const {
  uint64_t smallest = 0;
  uint64_t whole = 0;
  sm_model_get_budgets(model_.get(), &smallest, &whole);
  if (whole == 0) return std::nullopt;
  Streaming found = {};
  call(sm_session_get_stream, session_.get(), &found.stats);
  size_t count = 0;
  call(sm_session_get_intervals, session_.get(), static_cast<sm_interval*>(nullptr), size_t{0},
       &count);
  std::vector<sm_interval> intervals(count);
  call(sm_session_get_intervals, session_.get(), intervals.data(), intervals.size(), &count);
  // Their number may differ by those at the edge of the call: reading goes on, and clocks drift.
  intervals.resize(std::min(count, intervals.size()));
  Spans steps;
  Spans moves;
  for (const sm_interval& interval : intervals) {
    Spans& spans = interval.kind == SM_INTERVAL_STEP ? steps : moves;
    spans.emplace_back(interval.start_ns, interval.end_ns);
  }
  steps = merged(steps);
  moves = merged(moves);
  found.step_ms = length_ms(steps);
  found.moving_ms = length_ms(moves);
  Spans common;
  for (const auto& [start, end] : steps) {
    for (const auto& [other_start, other_end] : moves) {
      const auto first = std::max(start, other_start);
      const auto last = std::min(end, other_end);
      if (first < last) common.emplace_back(first, last);
    }
  }
  found.hidden_ms = length_ms(common);
  return found;
}

double Program::gpu_ms() const {
  sm_times times = {};
  call(sm_session_get_times, session_.get(), &times);
  return times.gpu_ms;
}

int Program::differing_replays(int count) {
  const std::vector<Tensor> first = outputs_;
  int differing = 0;
  for (int i = 0; i < count; ++i) {
    run();
    if (!same_content(first, outputs_)) ++differing;
  }
  return differing;
}

std::vector<Window> Program::drift(double seconds) {
  std::vector<Window> windows;
  std::vector<double> samples;
  const Stopwatch watch;
  while (watch.milliseconds() < 1e3 * seconds) {
    samples.push_back(run());
    const double now_s = watch.milliseconds() / 1e3;
    if (now_s < static_cast<double>(windows.size() + 1)) continue;
    windows.push_back({now_s, median_of(samples)});
    samples.clear();
  }
  return windows;
}

std::vector<std::pair<std::string, double>> Program::profile() {
  std::vector<double> times_ns(load_.stats.commands);
  call(sm_session_profile, session_.get(), times_ns.data(), times_ns.size());
  std::vector<std::pair<std::string, double>> rows;
  for (size_t i = 0; i < times_ns.size(); ++i) {
    rows.emplace_back(sm_model_command_name(model_.get(), i), times_ns[i] / 1e3);
  }
  return rows;
}

}  // namespace smartmem::runner
