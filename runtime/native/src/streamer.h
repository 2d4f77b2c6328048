// Brings streamed weights in while the model runs: file, staging, device memory.
//
// One thread reads, in the order of need and on into the next call, as far as the arena has room.
// Nothing waits on the GPU for what is not submitted yet: a step is submitted once all that it
// needs is on its way, a copy once the last step that uses its place is. So one queue suffices, and
// whatever fails leaves nothing behind that could wait for ever.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "archive.h"
#include "slots.h"
#include "timestamps.h"

namespace smartmem {

// Numbers of all that was read since the streamer was made.
struct StreamCounts {
  uint64_t read_bytes = 0;
  uint64_t reads = 0;
  double read_ms = 0;   // in reading and comparing checksums
  double stall_ms = 0;  // of calls that waited for weights, with nothing else submitted
};

// Of intervals that are kept.
constexpr size_t kMostIntervals = 1 << 16;

class Streamer : public std::enable_shared_from_this<Streamer> {
 public:
  Streamer(DevicePtr device, std::shared_ptr<const Archive> archive,
           std::shared_ptr<const Slots> slots, const StreamPlan& plan);
  ~Streamer();
  Streamer(const Streamer&) = delete;
  Streamer& operator=(const Streamer&) = delete;

  // Starts a call: command buffers by step, which must be kept until it is over.
  void submit(std::vector<VkCommandBuffer> steps);
  // Waits for the call. Throws SM_TIMEOUT after so long (the call goes on), SM_BAD_FILE for weights
  // that cannot be read or are not what was written, SM_CANCELLED; after these the call is over.
  void wait(sm_wait how, uint64_t timeout_ns);
  // Ends the call, if there is one: steps that are not submitted will not be.
  void cancel();
  // Whether no call is going on.
  bool is_idle() const;
  // Ends all there is. Where a read does not come back, its thread keeps what it needs until then.
  void close();
  // How long one read may take before a call gives up.
  void set_read_limit(uint64_t nanoseconds);

  uint64_t staging_bytes() const;
  // Whether weights are copied on the device, and not written by the host where kernels read.
  bool copies() const { return pieces_ > 0; }
  StreamCounts counts() const;
  // When weights were read, and copied on the device, since the call before the last began.
  std::vector<sm_interval> intervals() const;

 private:
  // A part of a load that goes through memory at once.
  struct Chunk {
    uint32_t load;
    uint64_t offset;
    uint64_t size;
    uint32_t piece;        // of staging
    VkCommandBuffer copy;  // NULL where the host writes in place
    uint64_t copied;       // the value of copies_ when that was last done; 0: never
    bool is_timed;         // whether its timestamps are to be taken
  };

  void cut_chunks();
  void add_chunks(uint32_t load);
  void record_copy(VkCommandBuffer commands, const Chunk& chunk, uint32_t number,
                   uint64_t row_bytes) const;
  void work();
  void load_all(uint64_t call);
  void load(uint32_t number, uint64_t call);
  void fill(Chunk& chunk, CheckedReader& reader);
  void send(Chunk& chunk, uint64_t after);
  // The value of steps_ at which a load may overwrite its place; 0 for nothing to wait for.
  uint64_t wait_for_release(const StreamLoad& load, uint64_t call);
  void wait_for(const Timeline& timeline, uint64_t value);
  void restart();
  void begin_thread();
  void end_thread(std::unique_lock<std::mutex>& lock);
  void wait_a_little(std::unique_lock<std::mutex>& lock, uint64_t nanoseconds);
  void pump();
  bool is_ready(uint32_t step) const;
  bool is_submitted() const { return next_step_ == step_count_; }
  void settle(std::unique_lock<std::mutex>& lock, sm_wait how, int64_t deadline_ns);
  void require_running() const;
  void take_timestamps(Chunk& chunk);
  bool is_staged(const StreamLoad& load) const { return load.mapped == nullptr; }

  DevicePtr device_;
  std::shared_ptr<const Archive> archive_;
  std::shared_ptr<const Slots> slots_;
  const std::vector<StreamLoad>& loads_;
  const uint32_t step_count_;
  bool has_stays_ = false;
  std::vector<uint32_t> needed_;  // by step: how many loads come before it
  std::unique_ptr<Buffer> staging_;
  uint64_t piece_bytes_ = 0;
  uint32_t pieces_ = 0;
  std::vector<uint64_t> piece_value_;  // of copies_, when a piece is free again
  CommandPool pool_;
  Timeline steps_;
  Timeline copies_;
  std::unique_ptr<Timestamps> copy_clock_;
  std::vector<Chunk> chunks_;
  std::vector<uint32_t> first_chunk_;  // by load, and the end

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::thread thread_;
  bool is_running_ = false;  // the thread
  bool is_stopped_ = false;  // it shall end
  std::optional<Error> failure_;
  bool is_called_ = false;  // a call goes on
  uint64_t calls_ = 0;      // since the thread began
  uint64_t first_value_ = 0;  // of steps_, when it began
  uint32_t next_step_ = 0;
  std::vector<VkCommandBuffer> current_;
  uint64_t loaded_call_ = 0;   // of this call, counted from the thread's beginning,
  uint32_t loaded_count_ = 0;  // so many loads are on their way, and all of the calls before
  std::vector<bool> is_loaded_;     // by load, for those that are pinned
  std::vector<uint64_t> copied_;    // by load: the value of copies_ to wait for
  int64_t reading_since_ns_ = 0;    // 0: it does not read
  std::string reading_;
  uint64_t read_limit_ns_;
  int64_t waiting_since_ns_ = 0;  // nothing is submitted, and a step waits for weights
  StreamCounts counts_;
  struct Copied {
    uint32_t load;
    uint64_t ticks[2];
  };
  std::deque<sm_interval> reads_;  // in the host's nanoseconds
  std::deque<Copied> copied_ticks_;
};

}  // namespace smartmem
