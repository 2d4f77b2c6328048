#include "timestamps.h"

#include <chrono>

namespace smartmem {
namespace {

constexpr int kAsked = 5;

}  // namespace

Timestamps::Timestamps(DevicePtr device, uint32_t count, QueueKind queue)
    : device_(std::move(device)), count_(count) {
  // A queue that only copies cannot make its timestamps ready.
  const bool needs_host = device_->queue_family(queue) != device_->queue_family(QueueKind::kCompute);
  const bool can_reset = device_->features().has_host_query_reset() &&
                         device_->vk().vkResetQueryPool != nullptr;
  if (count == 0 || !device_->has_timestamps(queue) || (needs_host && !can_reset)) return;
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

void Timestamps::reset(VkCommandBuffer commands) const { reset(commands, 0, count_); }

void Timestamps::reset(VkCommandBuffer commands, uint32_t first, uint32_t count) const {
  if (handle_ != VK_NULL_HANDLE) {
    device_->vk().vkCmdResetQueryPool(commands, handle_, first, count);
  }
}

void Timestamps::reset_now(uint32_t first, uint32_t count) const {
  if (handle_ != VK_NULL_HANDLE) {
    device_->vk().vkResetQueryPool(device_->handle(), handle_, first, count);
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

bool Timestamps::read_pair(uint32_t first, uint64_t (&ticks)[2]) const {
  if (handle_ == VK_NULL_HANDLE) return false;
  const VkResult result = device_->vk().vkGetQueryPoolResults(
      device_->handle(), handle_, first, 2, sizeof(ticks), ticks, sizeof(uint64_t),
      VK_QUERY_RESULT_64_BIT);
  if (result == VK_NOT_READY) return false;
  check(result, "reading timestamps");
  return true;
}

int64_t host_nanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

QueueClock::QueueClock(const DevicePtr& device, QueueKind queue) : device_(device), queue_(queue) {
  const Timestamps stamp(device, 1, queue);
  if (!stamp.is_there()) return;
  const bool by_host =
      device->queue_family(queue) != device->queue_family(QueueKind::kCompute);
  CommandPool pool(device, queue);
  Timeline timeline(device);
  const VkCommandBuffer ask = pool.record([&](VkCommandBuffer commands) {
    if (!by_host) stamp.reset(commands);
    stamp.write(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0);
  });
  for (int i = 0; i < kAsked; ++i) {
    if (by_host) stamp.reset_now(0, 1);
    const int64_t before = host_nanoseconds();
    timeline.submit(ask, queue);
    timeline.wait(SM_WAIT_POLL, UINT64_MAX);
    const int64_t after = host_nanoseconds();
    if (i > 0 && (after - before) / 2 >= error_ns_) continue;
    error_ns_ = (after - before) / 2;
    host_ns_ = before + error_ns_;
    ticks_ = stamp.read().front();
  }
}

int64_t QueueClock::at(uint64_t ticks) const {
  // Counters wrap, and what is asked for may lie before the calibration.
  const double forward = device_->nanoseconds(ticks_, ticks, queue_);
  const double backward = device_->nanoseconds(ticks, ticks_, queue_);
  return host_ns_ + static_cast<int64_t>(forward <= backward ? forward : -backward);
}

}  // namespace smartmem
