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

Timestamps::Timestamps(DevicePtr device, uint32_t count)
    : device_(std::move(device)), count_(count) {
  if (!device_->has_timestamps()) return;
  VkQueryPoolCreateInfo info = {VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO};
  info.queryType = VK_QUERY_TYPE_TIMESTAMP;
  info.queryCount = count;
  check(device_->vk().vkCreateQueryPool(device_->handle(), &info, nullptr, &handle_),
        "making timestamps");
}

Timestamps::~Timestamps() {
  if (handle_ != VK_NULL_HANDLE) {
    device_->vk().vkDestroyQueryPool(device_->handle(), handle_, nullptr);
  }
}

void Timestamps::reset(VkCommandBuffer commands) const {
  if (handle_ != VK_NULL_HANDLE) {
    device_->vk().vkCmdResetQueryPool(commands, handle_, 0, count_);
  }
}

void Timestamps::write(VkCommandBuffer commands, VkPipelineStageFlagBits stage,
                       uint32_t index) const {
  if (handle_ != VK_NULL_HANDLE) {
    device_->vk().vkCmdWriteTimestamp(commands, stage, handle_, index);
  }
}

std::vector<uint64_t> Timestamps::read() const {
  std::vector<uint64_t> ticks(count_);
  if (handle_ == VK_NULL_HANDLE) return ticks;
  check(device_->vk().vkGetQueryPoolResults(device_->handle(), handle_, 0, count_,
                                            ticks.size() * sizeof(uint64_t), ticks.data(),
                                            sizeof(uint64_t), VK_QUERY_RESULT_64_BIT),
        "reading timestamps");
  return ticks;
}

Session::Session(std::shared_ptr<const Model> model)
    : model_(std::move(model)),
      device_(model_->device()),
      schedule_(model_->schedule()),
      layout_(model_->layout()),
      timeline_(device_),
      pool_(device_) {
  make_buffers();
  plan_outputs();
  commands_ = std::make_unique<Commands>(device_, schedule_, schedule_.commands, layout_,
                                         model_->pipelines(), model_->images(),
                                         [this](uint32_t number) { return buffer(number); });
  call_clock_ = std::make_unique<Timestamps>(device_, 2);
  call_ = pool_.record([this](VkCommandBuffer commands) { record_call(commands); });
}

Session::~Session() {
  try {
    timeline_.wait(SM_WAIT_BLOCK, UINT64_MAX);
  } catch (const Error&) {
    // A lost device has stopped working, too.
  }
}

void Session::make_buffers() {
  const bool shares = device_->shares_host_memory();
  const MemoryUse use = shares ? MemoryUse::kShared : MemoryUse::kDevice;
  inputs_ = make_buffer(device_, layout_.input_bytes, use);
  outputs_ = make_buffer(device_, layout_.output_bytes, use);
  transients_ = make_buffer(device_, layout_.transient_bytes, MemoryUse::kDevice);
  if (!shares) upload_ = make_buffer(device_, layout_.input_bytes, MemoryUse::kUpload);
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
  const Place& place = layout_.places[port.resource];
  const Buffer* buffer = place.buffer == layout_.output_buffer()  ? outputs_.get()
                         : place.buffer == layout_.input_buffer() ? inputs_.get()
                                                                  : nullptr;
  if (buffer == nullptr || buffer->mapped() == nullptr) return nullptr;
  return buffer->mapped() + place.offset + port.offset;
}

VkBuffer Session::buffer(uint32_t number) const {
  if (number < layout_.setup_buffer()) return model_->weights()[number]->handle();
  if (number == layout_.input_buffer()) return inputs_->handle();
  if (number == layout_.output_buffer()) return outputs_->handle();
  return transients_->handle();
}

void Session::record_call(VkCommandBuffer commands) const {
  call_clock_->reset(commands);
  call_clock_->write(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, 0);
  record_inputs(commands);
  commands_->record_waves(commands, layout_.waves);
  record_outputs(commands);
  call_clock_->write(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 1);
}

void Session::record_profile(VkCommandBuffer commands) const {
  profile_clock_->reset(commands);
  record_inputs(commands);
  profile_clock_->write(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0);
  uint32_t done = 0;
  for (const Wave& wave : layout_.waves) {
    for (const uint32_t number : wave) {
      commands_->record(commands, number);
      add_barrier(device_->vk(), commands, commands_->scope(), commands_->scope());
      profile_clock_->write(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, ++done);
    }
  }
  record_outputs(commands);
}

void Session::record_inputs(VkCommandBuffer commands) const {
  if (upload_ == nullptr) return;
  const VkBufferCopy whole = {0, 0, layout_.input_bytes};
  device_->vk().vkCmdCopyBuffer(commands, upload_->handle(), inputs_->handle(), 1, &whole);
  add_barrier(device_->vk(), commands, kTransferWrites, commands_->scope() | kTransferReads);
}

void Session::record_outputs(VkCommandBuffer commands) const {
  const DeviceTable& vk = device_->vk();
  if (!readbacks_.empty()) add_barrier(vk, commands, commands_->scope(), kTransferReads);
  for (const Readback& copy : readbacks_) {
    const Port& port = schedule_.outputs[copy.output];
    const Place& place = layout_.places[port.resource];
    const VkBufferCopy region = {place.offset + port.offset, copy.offset, port.length};
    vk.vkCmdCopyBuffer(commands, buffer(place.buffer), readback_->handle(), 1, &region);
  }
  add_barrier(vk, commands, commands_->scope() | kTransferWrites, kHostReads);
}

void Session::require_idle() const {
  if (!timeline_.is_idle()) fail(SM_INVALID_ARGUMENT, "the last call has not finished");
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
  return target.mapped() + layout_.places[port.resource].offset + port.offset;
}

const uint8_t* Session::output_memory(size_t index) const {
  return index < results_.size() ? results_[index] : nullptr;
}

void Session::submit_locked(VkCommandBuffer commands) {
  require_idle();
  const Stopwatch watch;
  timeline_.submit(commands);
  times_.submit_ms = watch.milliseconds();
}

void Session::wait_locked(sm_wait how, uint64_t timeout_ns) {
  const Stopwatch watch;
  timeline_.wait(how, timeout_ns);
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
    const std::vector<uint64_t> ticks = call_clock_->read();
    times.gpu_ms = device_->nanoseconds(ticks[0], ticks[1]) * 1e-6;
  }
  return times;
}

std::vector<double> Session::profile() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!device_->has_timestamps()) fail(SM_UNSUPPORTED, "the device has no clock");
  const auto count = static_cast<uint32_t>(schedule_.commands.size());
  if (profile_ == VK_NULL_HANDLE) {
    profile_clock_ = std::make_unique<Timestamps>(device_, count + 1);
    profile_ = pool_.record([this](VkCommandBuffer commands) { record_profile(commands); });
  }
  submit_locked(profile_);
  wait_locked(SM_WAIT_BLOCK, UINT64_MAX);
  const std::vector<uint64_t> ticks = profile_clock_->read();
  std::vector<double> times_ns(count);
  uint32_t done = 0;
  // In the order of the recording: scratch memory is shared between waves.
  for (const Wave& wave : layout_.waves) {
    for (const uint32_t number : wave) {
      times_ns[number] = device_->nanoseconds(ticks[done], ticks[done + 1]);
      ++done;
    }
  }
  return times_ns;
}

}  // namespace smartmem
