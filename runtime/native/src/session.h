// One caller's use of a model: its scratch memory, inputs and outputs, and the recorded commands.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "commands.h"
#include "model.h"
#include "scratch.h"
#include "streamer.h"

namespace smartmem {

class Session {
 public:
  // `budget_bytes`: for the weights of a model that streams them, and for no other.
  Session(std::shared_ptr<const Model> model, std::optional<uint64_t> budget_bytes);
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

  // Waits for the call that goes on; then weights lie and move as another budget says. Where that
  // is too small, nothing changes.
  void set_budget(uint64_t budget_bytes);
  void set_read_limit(uint64_t nanoseconds);
  void cancel();
  sm_stream_stats stream_stats();
  std::vector<sm_interval> intervals();

 private:
  // A result that the host cannot read where it lies.
  struct Readback {
    uint32_t output;
    uint64_t offset;  // in readback_
  };

  void make_buffers();
  void plan_outputs();
  void make_call(uint64_t budget_bytes);
  void drop_call();
  void record_step(VkCommandBuffer commands, uint32_t step) const;
  void record_profile(VkCommandBuffer commands, uint32_t step) const;
  std::vector<VkCommandBuffer> record_steps(
      const std::function<void(VkCommandBuffer, uint32_t)>& record);
  // The places of a step's commands in the row.
  uint32_t begin_of(uint32_t step) const { return plan_.steps[step]; }
  uint32_t end_of(uint32_t step) const;
  bool is_last(uint32_t step) const { return step + 1 == plan_.steps.size(); }
  void require_streams() const;
  void require_call() const;
  void record_inputs(VkCommandBuffer commands) const;
  void record_outputs(VkCommandBuffer commands) const;
  VkBuffer buffer(uint32_t number) const;
  const uint8_t* mapped_output(const Port& port) const;
  void require_idle() const;
  void set_input_locked(size_t index, Bytes data);
  void get_output_locked(size_t index, void* data) const;
  bool is_idle() const;
  void submit_locked(const std::vector<VkCommandBuffer>& steps);
  void wait_locked(sm_wait how, uint64_t timeout_ns);

  std::shared_ptr<const Model> model_;
  DevicePtr device_;
  const Schedule& schedule_;
  std::mutex mutex_;
  std::unique_ptr<Buffer> inputs_;
  std::unique_ptr<Buffer> outputs_;
  std::unique_ptr<Buffer> upload_;    // what is copied to inputs_, where those are not mapped
  std::unique_ptr<Buffer> readback_;  // what outputs are copied to, where they are not mapped
  std::vector<Readback> readbacks_;
  std::vector<const uint8_t*> results_;  // where the host reads each output
  Timeline timeline_;  // of calls, where weights are loaded with the model
  // Of these there is another after the budget has changed.
  const Layout* layout_;
  Row row_;  // of all commands
  std::unique_ptr<const Scratch> scratch_;
  StreamPlan plan_;
  std::shared_ptr<const Slots> slots_;
  std::shared_ptr<Streamer> streamer_;
  std::unique_ptr<Commands> commands_;
  std::unique_ptr<CommandPool> pool_;
  std::unique_ptr<Timestamps> step_clock_;  // the begin and the end of each step
  std::vector<VkCommandBuffer> call_;       // by step
  std::unique_ptr<Timestamps> profile_clock_;
  std::vector<VkCommandBuffer> profile_;
  std::mutex streamer_mutex_;  // of the pointer, which cancel() reads at any time
  uint64_t read_limit_ns_ = 0;  // 0: the streamer's own
  int64_t call_start_ns_ = 0;
  sm_times times_ = {};
};

}  // namespace smartmem
