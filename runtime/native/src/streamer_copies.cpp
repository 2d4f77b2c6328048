// The streamer's copies: how loads are cut, their commands, and when they ran.
#include <algorithm>

#include "barrier.h"
#include "formats.h"
#include "streamer.h"

namespace smartmem {
namespace {

// Of what is read at once, and of all staging together.
constexpr uint64_t kPieceBytes = 4 << 20;
constexpr uint64_t kStagingBytes = 16 << 20;
// Copies to images start at whole texels, of which none is larger.
constexpr uint64_t kTexelBytes = 16;

uint64_t row_bytes_of(const Image& image) {
  return uint64_t{image.plan().width} * texel_bytes(static_cast<VkFormat>(image.plan().format));
}

}  // namespace

void Streamer::cut_chunks() {
  uint64_t most = 0;
  uint64_t total = 0;
  for (const StreamLoad& load : loads_) {
    if (!is_staged(load)) continue;
    most = std::max(most, load.image == nullptr ? 0 : row_bytes_of(*load.image));
    total += rounded(load.entry->size, kTexelBytes);
  }
  piece_bytes_ = std::max(kPieceBytes, rounded(most, kTexelBytes));
  if (total > 0) {
    piece_bytes_ = std::max(rounded(most, kTexelBytes), std::min(piece_bytes_, total));
    pieces_ = static_cast<uint32_t>(std::max<uint64_t>(
        1, std::min(kStagingBytes / piece_bytes_, (total + piece_bytes_ - 1) / piece_bytes_)));
    // Checksums are made of it: memory that the host reads as fast as it writes.
    staging_ = std::make_unique<Buffer>(device_, pieces_ * piece_bytes_,
                                        VK_BUFFER_USAGE_TRANSFER_SRC_BIT, MemoryUse::kReadback);
    piece_value_.assign(pieces_, 0);
  }
  for (uint32_t number = 0; number < loads_.size(); ++number) {
    first_chunk_.push_back(static_cast<uint32_t>(chunks_.size()));
    add_chunks(number);
  }
  first_chunk_.push_back(static_cast<uint32_t>(chunks_.size()));
  copy_clock_ = std::make_unique<Timestamps>(
      device_, pieces_ == 0 ? 0 : static_cast<uint32_t>(2 * chunks_.size()), QueueKind::kCopy);
  for (uint32_t number = 0; number < chunks_.size(); ++number) {
    Chunk& chunk = chunks_[number];
    const StreamLoad& load = loads_[chunk.load];
    if (!is_staged(load)) continue;
    const uint64_t row = load.image == nullptr ? 0 : row_bytes_of(*load.image);
    chunk.copy = pool_.record(
        [&](VkCommandBuffer commands) { record_copy(commands, chunk, number, row); });
  }
}

void Streamer::add_chunks(uint32_t number) {
  const StreamLoad& load = loads_[number];
  uint64_t step = piece_bytes_;
  if (load.image != nullptr) {
    const uint64_t row = row_bytes_of(*load.image);
    step = piece_bytes_ / row * row;
  }
  for (uint64_t offset = 0; offset < load.entry->size; offset += step) {
    const uint32_t piece = pieces_ == 0 ? 0 : static_cast<uint32_t>(chunks_.size() % pieces_);
    const uint64_t size = std::min(step, load.entry->size - offset);
    chunks_.push_back({number, offset, size, piece, VK_NULL_HANDLE, 0, false});
  }
}

void Streamer::record_copy(VkCommandBuffer commands, const Chunk& chunk, uint32_t number,
                           uint64_t row_bytes) const {
  const DeviceTable& vk = device_->vk();
  const StreamLoad& load = loads_[chunk.load];
  const uint64_t source = chunk.piece * piece_bytes_;
  const bool by_host = device_->families().size() > 1;  // such a queue cannot
  if (!by_host) copy_clock_->reset(commands, 2 * number, 2);
  copy_clock_->write(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, 2 * number);
  if (load.image == nullptr) {
    const VkBufferCopy region = {source, load.offset + chunk.offset, chunk.size};
    vk.vkCmdCopyBuffer(commands, staging_->handle(), load.buffer, 1, &region);
  } else {
    // Who waits for this submission sees all of it: no stage of kernels is named here.
    const VkImage image = load.image->handle();
    if (chunk.offset == 0) {
      add_image_barrier(vk, commands, image, kTransferWrites, kTransferWrites,
                        VK_IMAGE_LAYOUT_UNDEFINED, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    }
    VkBufferImageCopy region = {};
    region.bufferOffset = source;
    region.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
    region.imageOffset = {0, static_cast<int32_t>(chunk.offset / row_bytes), 0};
    region.imageExtent = {load.image->plan().width,
                          static_cast<uint32_t>(chunk.size / row_bytes), 1};
    vk.vkCmdCopyBufferToImage(commands, staging_->handle(), image,
                              VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &region);
    if (chunk.offset + chunk.size == load.entry->size) {
      constexpr Scope kWhoeverWaits = {VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0};
      add_image_barrier(vk, commands, image, kTransferWrites, kWhoeverWaits,
                        VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                        VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL);
    }
  }
  copy_clock_->write(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 2 * number + 1);
}

void Streamer::take_timestamps(Chunk& chunk) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Copied copied{chunk.load, {}};
  const auto number = static_cast<uint32_t>(&chunk - chunks_.data());
  if (!chunk.is_timed || !copy_clock_->read_pair(2 * number, copied.ticks)) return;
  chunk.is_timed = false;
  copied_ticks_.push_back(copied);
  if (copied_ticks_.size() > kMostIntervals) copied_ticks_.pop_front();
}

std::vector<sm_interval> Streamer::intervals() const {
  const QueueClock clock(device_, QueueKind::kCopy);
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<sm_interval> found(reads_.begin(), reads_.end());
  const auto add = [&](const Copied& copied) {
    found.push_back({SM_INTERVAL_COPY, copied.load, clock.at(copied.ticks[0]),
                     clock.at(copied.ticks[1])});
  };
  for (const Copied& copied : copied_ticks_) add(copied);
  for (uint32_t number = 0; number < chunks_.size(); ++number) {
    Copied copied{chunks_[number].load, {}};
    if (chunks_[number].is_timed && copy_clock_->read_pair(2 * number, copied.ticks)) add(copied);
  }
  return found;
}

}  // namespace smartmem
