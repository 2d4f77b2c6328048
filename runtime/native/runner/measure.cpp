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
  model_ = make<Model>(
      [&](sm_model** model) { call(sm_bundle_load, bundle, device, target, cache, model); });
  session_ = make<Session>(
      [&](sm_session** session) { call(sm_session_create, model_.get(), session); });
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
