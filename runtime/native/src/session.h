// One caller's use of a model: its scratch memory, inputs and outputs, and the recorded commands.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "commands.h"
#include "model.h"

namespace smartmem {

// A pool of timestamps, where the device has a clock.
class Timestamps {
 public:
  Timestamps(DevicePtr device, uint32_t count);
  ~Timestamps();
  Timestamps(const Timestamps&) = delete;
  Timestamps& operator=(const Timestamps&) = delete;

  void reset(VkCommandBuffer commands) const;
  void write(VkCommandBuffer commands, VkPipelineStageFlagBits stage, uint32_t index) const;
  // All of them, after the commands that write them have finished.
  std::vector<uint64_t> read() const;

 private:
  DevicePtr device_;
  uint32_t count_;
  VkQueryPool handle_ = VK_NULL_HANDLE;
};

class Session {
 public:
  explicit Session(std::shared_ptr<const Model> model);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const Model& model() const { return *model_; }

  void run(const void* const* inputs, void* const* outputs, sm_wait how);
  void set_input(size_t index, Bytes data);
  void submit();
  void wait(sm_wait how, uint64_t timeout_ns);
  void get_output(size_t index, void* data, size_t size);
  // NULL where there is none.
  uint8_t* input_memory(size_t index) const;
  const uint8_t* output_memory(size_t index) const;
  sm_times times();
  std::vector<double> profile();

 private:
  // A result that the host cannot read where it lies.
  struct Readback {
    uint32_t output;
    uint64_t offset;  // in readback_
  };

  void make_buffers();
  void plan_outputs();
  void record_call(VkCommandBuffer commands) const;
  void record_profile(VkCommandBuffer commands) const;
  void record_inputs(VkCommandBuffer commands) const;
  void record_outputs(VkCommandBuffer commands) const;
  VkBuffer buffer(uint32_t number) const;
  const uint8_t* mapped_output(const Port& port) const;
  void require_idle() const;
  void set_input_locked(size_t index, Bytes data);
  void get_output_locked(size_t index, void* data) const;
  void submit_locked(VkCommandBuffer commands);
  void wait_locked(sm_wait how, uint64_t timeout_ns);

  std::shared_ptr<const Model> model_;
  DevicePtr device_;
  const Schedule& schedule_;
  const Layout& layout_;
  std::mutex mutex_;
  std::unique_ptr<Buffer> inputs_;
  std::unique_ptr<Buffer> outputs_;
  std::unique_ptr<Buffer> transients_;
  std::unique_ptr<Buffer> upload_;    // what is copied to inputs_, where those are not mapped
  std::unique_ptr<Buffer> readback_;  // what outputs are copied to, where they are not mapped
  std::vector<Readback> readbacks_;
  std::vector<const uint8_t*> results_;  // where the host reads each output
  std::unique_ptr<Commands> commands_;
  Timeline timeline_;
  CommandPool pool_;
  std::unique_ptr<Timestamps> call_clock_;
  VkCommandBuffer call_ = VK_NULL_HANDLE;
  std::unique_ptr<Timestamps> profile_clock_;
  VkCommandBuffer profile_ = VK_NULL_HANDLE;
  sm_times times_ = {};
};

}  // namespace smartmem
