// Clocks: timestamps that the GPU writes, and what they are in the host's time.
#pragma once

#include <vector>

#include "device.h"

namespace smartmem {

// A pool of timestamps of one queue, where that has a clock.
class Timestamps {
 public:
  Timestamps(DevicePtr device, uint32_t count, QueueKind queue = QueueKind::kCompute);
  ~Timestamps();
  Timestamps(const Timestamps&) = delete;
  Timestamps& operator=(const Timestamps&) = delete;

  // Whether there are any.
  bool is_there() const { return handle_ != VK_NULL_HANDLE; }
  // Each must be made ready before it is written again: by the queue, where it computes, or here,
  // when nothing on the GPU will write it any more.
  void reset(VkCommandBuffer commands) const;
  void reset(VkCommandBuffer commands, uint32_t first, uint32_t count) const;
  void reset_now(uint32_t first, uint32_t count) const;
  void write(VkCommandBuffer commands, VkPipelineStageFlagBits stage, uint32_t index) const;
  // All of them, after the commands that write them have finished.
  std::vector<uint64_t> read() const;
  // Two that follow each other; false where they are not written yet.
  bool read_pair(uint32_t first, uint64_t (&ticks)[2]) const;

 private:
  DevicePtr device_;
  uint32_t count_;
  VkQueryPool handle_ = VK_NULL_HANDLE;
};

// Nanoseconds of the host's steady clock, now.
int64_t host_nanoseconds();

// A queue's clock against the host's: found by asking for the time a few times.
class QueueClock {
 public:
  QueueClock(const DevicePtr& device, QueueKind queue);

  // When it was so many ticks, in the host's nanoseconds.
  int64_t at(uint64_t ticks) const;
  // How far that can be off: half the time it took to ask.
  int64_t error_ns() const { return error_ns_; }

 private:
  DevicePtr device_;
  QueueKind queue_;
  uint64_t ticks_ = 0;  // at host_ns_
  int64_t host_ns_ = 0;
  int64_t error_ns_ = 0;
};

}  // namespace smartmem
