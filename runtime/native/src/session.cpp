#include "session.h"

#include <algorithm>
#include <cstring>

#include "clock.h"

namespace smartmem {
namespace {

std::unique_ptr<Buffer> make_buffer(const DevicePtr& device, uint64_t size, MemoryUse use) {
  return size == 0 ? nullptr : std::make_unique<Buffer>(device, size, kCommandUsage, use);
}

}  // namespace

Session::Session(std::shared_ptr<const Model> model, std::optional<uint64_t> budget_bytes)
    : model_(std::move(model)),
      device_(model_->device()),
      schedule_(model_->schedule()),
      timeline_(device_),
      layout_(&model_->layout()) {
  if (budget_bytes.has_value() != (model_->stream() != nullptr)) {
    fail(SM_INVALID_ARGUMENT, budget_bytes ? "the model was loaded with all its weights: no budget"
                                           : "the model streams its weights: give a budget");
  }
  make_buffers();
  plan_outputs();
  make_call(budget_bytes.value_or(0));
}

Session::~Session() {
  try {
    drop_call();
  } catch (const Error&) {
    // A lost device has stopped working, too.
  }
}

// All that depends on the budget.
void Session::make_call(uint64_t budget_bytes) {
  const AdoptedPlan* adopted = model_->adopted(budget_bytes);
  const StreamSet* stream = adopted != nullptr ? &adopted->set : model_->stream();
  layout_ = adopted != nullptr ? &adopted->layout : &model_->layout();
  row_ = in_a_row(layout_->waves);
  scratch_ = std::make_unique<const Scratch>(device_, schedule_, *layout_, row_);
  if (stream != nullptr) {
    plan_ = adopted != nullptr ? adopted->plan : plan_within(*stream, budget_bytes);
    slots_ = std::make_shared<const Slots>(device_, *layout_, *stream, plan_);
    auto streamer = std::make_shared<Streamer>(device_, model_->archive(), slots_, plan_);
    if (read_limit_ns_ > 0) streamer->set_read_limit(read_limit_ns_);
    const std::lock_guard<std::mutex> lock(streamer_mutex_);
    streamer_ = std::move(streamer);
  } else {
    plan_.steps = {0};
  }
  if (plan_.steps.empty()) plan_.steps = {0};
  const FindSpot find = [this, stream](uint32_t command, uint32_t resource) -> const Spot* {
    if (stream == nullptr || stream->weight_of[resource] == kNoWeight) {
      return scratch_->spot(resource);
    }
    return &slots_->spot(stream->place_of[command], stream->weight_of[resource]);
  };
  commands_ = std::make_unique<Commands>(
      device_, schedule_, schedule_.commands, *layout_, model_->pipelines(), model_->images(),
      [this](uint32_t number) { return buffer(number); }, find);
  pool_ = std::make_unique<CommandPool>(device_);
  step_clock_ =
      std::make_unique<Timestamps>(device_, static_cast<uint32_t>(2 * plan_.steps.size()));
  call_ = record_steps([this](VkCommandBuffer commands, uint32_t step) {
    record_step(commands, step);
  });
}

// Nothing of it is in use afterwards.
void Session::drop_call() {
  if (streamer_ != nullptr) streamer_->close();
  timeline_.wait(SM_WAIT_BLOCK, UINT64_MAX);
  times_ = {};
  pool_.reset();
  profile_.clear();
  call_.clear();
  commands_.reset();
  scratch_.reset();
  slots_.reset();
  const std::lock_guard<std::mutex> lock(streamer_mutex_);
  streamer_.reset();
}

void Session::make_buffers() {
  const bool shares = device_->shares_host_memory();
  const MemoryUse use = shares ? MemoryUse::kShared : MemoryUse::kDevice;
  inputs_ = make_buffer(device_, layout_->input_bytes, use);
  outputs_ = make_buffer(device_, layout_->output_bytes, use);
  if (!shares) upload_ = make_buffer(device_, layout_->input_bytes, MemoryUse::kUpload);
}

void Session::plan_outputs() {
  uint64_t total = 0;
  for (uint32_t i = 0; i < schedule_.outputs.size(); ++i) {
    const Port& port = schedule_.outputs[i];
    results_.push_back(mapped_output(port));
    if (results_.back() != nullptr) continue;
    readbacks_.push_back({i, total});
    total += (port.length + 15) / 16 * 16;
  }
  readback_ = make_buffer(device_, total, MemoryUse::kReadback);
  for (const Readback& copy : readbacks_) results_[copy.output] = readback_->mapped() + copy.offset;
}

const uint8_t* Session::mapped_output(const Port& port) const {
  const Place& place = layout_->places[port.resource];
  const Buffer* buffer = place.buffer == layout_->output_buffer()  ? outputs_.get()
                         : place.buffer == layout_->input_buffer() ? inputs_.get()
                                                                  : nullptr;
  if (buffer == nullptr || buffer->mapped() == nullptr) return nullptr;
  return buffer->mapped() + place.offset + port.offset;
}

VkBuffer Session::buffer(uint32_t number) const {
  if (number < layout_->setup_buffer()) return model_->weights()[number]->handle();
  if (number == layout_->input_buffer()) return inputs_->handle();
  if (number == layout_->output_buffer()) return outputs_->handle();
  return scratch_->buffer();
}

std::vector<VkCommandBuffer> Session::record_steps(
    const std::function<void(VkCommandBuffer, uint32_t)>& record) {
  std::vector<VkCommandBuffer> steps;
  for (uint32_t step = 0; step < plan_.steps.size(); ++step) {
    steps.push_back(pool_->record([&](VkCommandBuffer commands) { record(commands, step); }));
  }
  return steps;
}

uint32_t Session::end_of(uint32_t step) const {
  return is_last(step) ? static_cast<uint32_t>(row_.commands.size()) : plan_.steps[step + 1];
}

void Session::record_step(VkCommandBuffer commands, uint32_t step) const {
  step_clock_->reset(commands, 2 * step, 2);
  step_clock_->write(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, 2 * step);
  if (step == 0) record_inputs(commands);
  const uint32_t begin = begin_of(step);
  for (uint32_t place = begin; place < end_of(step); ++place) {
    const bool is_first = place == 0;
    const bool starts_wave = !is_first && row_.waves[place] != row_.waves[place - 1];
    // What ran before the step was recorded elsewhere: a barrier, whatever the wave.
    if (starts_wave || place == begin) {
      const std::vector<VkImage> begun = scratch_->begun(place, end_of(step));
      if (!is_first || !begun.empty()) commands_->record_barrier(commands, begun);
    }
    commands_->record(commands, row_.commands[place]);
  }
  if (is_last(step)) record_outputs(commands);
  step_clock_->write(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 2 * step + 1);
}

// Each command alone, with the time before the first of the step and after each.
void Session::record_profile(VkCommandBuffer commands, uint32_t step) const {
  const uint32_t first = begin_of(step) + step;
  profile_clock_->reset(commands, first, end_of(step) - begin_of(step) + 1);
  if (step == 0) record_inputs(commands);
  commands_->record_barrier(commands, scratch_->begun(begin_of(step), end_of(step)));
  profile_clock_->write(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, first);
  for (uint32_t place = begin_of(step); place < end_of(step); ++place) {
    commands_->record(commands, row_.commands[place]);
    const uint32_t next = place + 1;
    const bool ends_wave = next < end_of(step) && row_.waves[next] != row_.waves[place];
    commands_->record_barrier(
        commands, ends_wave ? scratch_->begun(next, end_of(step)) : std::vector<VkImage>());
    profile_clock_->write(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, place + step + 1);
  }
  if (is_last(step)) record_outputs(commands);
}

void Session::record_inputs(VkCommandBuffer commands) const {
  if (upload_ == nullptr) return;
  const VkBufferCopy whole = {0, 0, layout_->input_bytes};
  device_->vk().vkCmdCopyBuffer(commands, upload_->handle(), inputs_->handle(), 1, &whole);
  add_barrier(device_->vk(), commands, kTransferWrites, commands_->scope() | kTransferReads);
}

void Session::record_outputs(VkCommandBuffer commands) const {
  const DeviceTable& vk = device_->vk();
  if (!readbacks_.empty()) add_barrier(vk, commands, commands_->scope(), kTransferReads);
  for (const Readback& copy : readbacks_) {
    const Port& port = schedule_.outputs[copy.output];
    const Place& place = layout_->places[port.resource];
    const VkBufferCopy region = {place.offset + port.offset, copy.offset, port.length};
    vk.vkCmdCopyBuffer(commands, buffer(place.buffer), readback_->handle(), 1, &region);
  }
  add_barrier(vk, commands, commands_->scope() | kTransferWrites, kHostReads);
}

bool Session::is_idle() const {
  return streamer_ != nullptr ? streamer_->is_idle() : timeline_.is_idle();
}

void Session::require_idle() const {
  if (!is_idle()) fail(SM_INVALID_ARGUMENT, "the last call has not finished");
}

void Session::set_input_locked(size_t index, Bytes data) {
  require_idle();
  if (index >= schedule_.inputs.size()) fail(SM_INVALID_ARGUMENT, "there is no input ", index);
  const Port& port = schedule_.inputs[index];
  if (data.size != port.length) {
    fail(SM_INVALID_ARGUMENT, "input ", index, " has ", port.length, " bytes, not ", data.size);
  }
  if (port.length == 0) return;
  if (data.data == nullptr) fail(SM_INVALID_ARGUMENT, "input ", index, " is NULL");
  uint8_t* target = input_memory(index);
  if (data.data != target) std::memcpy(target, data.data, data.size);
}

void Session::get_output_locked(size_t index, void* data) const {
  if (data != results_[index]) {
    std::memcpy(data, results_[index], schedule_.outputs[index].length);
  }
}

uint8_t* Session::input_memory(size_t index) const {
  if (index >= schedule_.inputs.size() || schedule_.inputs[index].length == 0) return nullptr;
  const Port& port = schedule_.inputs[index];
  const Buffer& target = upload_ != nullptr ? *upload_ : *inputs_;
  return target.mapped() + layout_->places[port.resource].offset + port.offset;
}

const uint8_t* Session::output_memory(size_t index) const {
  return index < results_.size() ? results_[index] : nullptr;
}

void Session::submit_locked(const std::vector<VkCommandBuffer>& steps) {
  require_idle();
  require_call();
  times_ = {};
  const Stopwatch watch;
  call_start_ns_ = host_nanoseconds();
  if (streamer_ != nullptr) {
    streamer_->submit(steps);
  } else {
    timeline_.submit(steps.front());
  }
  times_.submit_ms = watch.milliseconds();
}

void Session::wait_locked(sm_wait how, uint64_t timeout_ns) {
  const Stopwatch watch;
  if (streamer_ != nullptr) {
    streamer_->wait(how, timeout_ns);
  } else {
    timeline_.wait(how, timeout_ns);
  }
  times_.wait_ms = watch.milliseconds();
}

void Session::run(const void* const* inputs, void* const* outputs, sm_wait how) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (size_t i = 0; i < schedule_.inputs.size(); ++i) {
    const auto* data = static_cast<const uint8_t*>(inputs[i]);
    set_input_locked(i, {data, static_cast<size_t>(schedule_.inputs[i].length)});
  }
  submit_locked(call_);
  wait_locked(how, UINT64_MAX);
  for (size_t i = 0; i < schedule_.outputs.size(); ++i) get_output_locked(i, outputs[i]);
}

void Session::set_input(size_t index, Bytes data) {
  const std::lock_guard<std::mutex> lock(mutex_);
  set_input_locked(index, data);
}

void Session::submit() {
  const std::lock_guard<std::mutex> lock(mutex_);
  submit_locked(call_);
}

void Session::wait(sm_wait how, uint64_t timeout_ns) {
  const std::lock_guard<std::mutex> lock(mutex_);
  wait_locked(how, timeout_ns);
}

void Session::get_output(size_t index, void* data, size_t size) {
  const std::lock_guard<std::mutex> lock(mutex_);
  require_idle();
  if (index >= results_.size()) fail(SM_INVALID_ARGUMENT, "there is no output ", index);
  const uint64_t length = schedule_.outputs[index].length;
  if (size != length) {
    fail(SM_INVALID_ARGUMENT, "output ", index, " has ", length, " bytes, not ", size);
  }
  get_output_locked(index, data);
}

sm_times Session::times() {
  const std::lock_guard<std::mutex> lock(mutex_);
  require_idle();
  sm_times times = times_;
  if (times.wait_ms > 0 && device_->has_timestamps()) {
    const std::vector<uint64_t> ticks = step_clock_->read();
    times.gpu_ms = device_->nanoseconds(ticks.front(), ticks.back()) * 1e-6;
  }
  return times;
}

std::vector<double> Session::profile() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!device_->has_timestamps()) fail(SM_UNSUPPORTED, "the device has no clock");
  require_call();
  if (profile_.empty()) {
    profile_clock_ = std::make_unique<Timestamps>(
        device_, static_cast<uint32_t>(row_.commands.size() + plan_.steps.size()));
    profile_ = record_steps([this](VkCommandBuffer commands, uint32_t step) {
      record_profile(commands, step);
    });
  }
  submit_locked(profile_);
  wait_locked(SM_WAIT_BLOCK, UINT64_MAX);
  const std::vector<uint64_t> ticks = profile_clock_->read();
  std::vector<double> times_ns(row_.commands.size());
  for (uint32_t step = 0; step < plan_.steps.size(); ++step) {
    for (uint32_t place = begin_of(step); place < end_of(step); ++place) {
      const uint64_t *before = &ticks[place + step], *after = before + 1;
      times_ns[row_.commands[place]] = device_->nanoseconds(*before, *after);
    }
  }
  return times_ns;
}

void Session::require_streams() const {
  if (model_->stream() == nullptr) {
    fail(SM_INVALID_ARGUMENT, "the model was loaded with all its weights: it streams none");
  }
}

// There is none where memory ran out while another budget was set.
void Session::require_call() const {
  if (call_.empty()) {
    fail(SM_OUT_OF_MEMORY, "the session's last budget could not be set; set one that it has ",
         "memory for");
  }
}

void Session::set_budget(uint64_t budget_bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  require_streams();
  // Before anything is lost: whether there is a plan.
  plan_within(*model_->stream(), budget_bytes);
  if (!is_idle()) wait_locked(SM_WAIT_BLOCK, UINT64_MAX);
  drop_call();
  make_call(budget_bytes);
}

void Session::set_read_limit(uint64_t nanoseconds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  require_streams();
  read_limit_ns_ = nanoseconds;
  if (streamer_ != nullptr) streamer_->set_read_limit(nanoseconds);
}

void Session::cancel() {
  // Not under the lock of calls: that is held by whoever waits.
  std::shared_ptr<Streamer> streamer;
  {
    const std::lock_guard<std::mutex> lock(streamer_mutex_);
    streamer = streamer_;
  }
  if (streamer != nullptr) streamer->cancel();
}

sm_stream_stats Session::stream_stats() {
  const std::lock_guard<std::mutex> lock(mutex_);
  require_streams();
  require_call();
  const StreamSet& set = *model_->stream();
  const StreamCounts counts = streamer_->counts();
  sm_stream_stats stats = {};
  stats.budget_bytes = plan_.budget_bytes;
  stats.smallest_budget_bytes = smallest_budget(set.problem);
  stats.whole_budget_bytes = whole_budget(set.problem);
  stats.fixed_bytes = set.problem.fixed_bytes;
  stats.pinned_bytes = slots_->pinned_bytes();
  stats.arena_bytes = slots_->arena_bytes();
  stats.staging_bytes = streamer_->staging_bytes();
  for (const Stay& stay : plan_.stays) stats.streamed_bytes += set.entries[stay.weight]->size;
  stats.steps = static_cast<uint32_t>(plan_.steps.size());
  stats.copies = !streamer_->copies()            ? SM_COPIES_BY_HOST
                 : device_->has_copy_queue()     ? SM_COPIES_ON_A_QUEUE
                                                 : SM_COPIES_BETWEEN_KERNELS;
  stats.read_bytes = counts.read_bytes;
  stats.reads = counts.reads;
  stats.read_ms = counts.read_ms;
  stats.stall_ms = counts.stall_ms;
  return stats;
}

std::vector<sm_interval> Session::intervals() {
  const std::lock_guard<std::mutex> lock(mutex_);
  require_streams();
  require_call();
  require_idle();
  std::vector<sm_interval> found;
  if (times_.wait_ms == 0) return found;  // there was no call, or it failed
  const QueueClock clock(device_, QueueKind::kCompute);
  const std::vector<uint64_t> ticks = step_clock_->read();
  for (uint32_t step = 0; step_clock_->is_there() && step < plan_.steps.size(); ++step) {
    found.push_back({SM_INTERVAL_STEP, step, clock.at(ticks[2 * step]), clock.at(ticks[2 * step + 1])});
  }
  const int64_t end = found.empty() ? INT64_MAX : found.back().end_ns;
  for (const sm_interval& interval : streamer_->intervals()) {
    if (interval.end_ns >= call_start_ns_ && interval.start_ns <= end) found.push_back(interval);
  }
  for (sm_interval& interval : found) {
    interval.start_ns -= call_start_ns_;
    interval.end_ns -= call_start_ns_;
  }
  return found;
}

}  // namespace smartmem
