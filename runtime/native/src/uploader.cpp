#include "uploader.h"

#include <algorithm>

#include "barrier.h"
#include "formats.h"

namespace smartmem {
namespace {

constexpr uint64_t kStagingBytes = 32 << 20;
// Copies to images start at whole texels, of which none is larger.
constexpr uint64_t kTexelBytes = 16;

}  // namespace

Uploader::Uploader(const DevicePtr& device, uint64_t most, uint64_t row)
    : device_(device),
      pool_(device),
      timeline_(device),
      staging_(device, std::max(std::min(most, kStagingBytes), std::max(row, kTexelBytes)),
               VK_BUFFER_USAGE_TRANSFER_SRC_BIT, MemoryUse::kUpload) {}

void Uploader::add(const Source& source, VkBuffer target, uint64_t offset) {
  for (uint64_t done = 0; done < source.size;) {
    if (room() == 0) flush();
    const size_t count = std::min<uint64_t>(source.size - done, room());
    source.read(done, staging_.mapped() + used_, count);
    buffer_copies_.push_back({target, {used_, offset + done, count}});
    used_ += count;
    done += count;
  }
}

void Uploader::add(const Source& source, const Image& target) {
  const ImagePlan& plan = target.plan();
  const uint64_t row = uint64_t{plan.width} * texel_bytes(plan.format);
  for (uint32_t done = 0; done < plan.height;) {
    used_ = std::min(rounded(used_, kTexelBytes), staging_.size());
    if (room() < row) flush();
    const auto rows = static_cast<uint32_t>(std::min<uint64_t>(plan.height - done, room() / row));
    source.read(done * row, staging_.mapped() + used_, rows * row);
    VkBufferImageCopy region = {};
    region.bufferOffset = used_;
    region.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
    region.imageOffset = {0, static_cast<int32_t>(done), 0};
    region.imageExtent = {plan.width, rows, 1};
    image_copies_.push_back(
        {target.handle(), region, done == 0, done + rows == plan.height});
    used_ += rows * row;
    done += rows;
  }
}

void Uploader::flush() {
  if (buffer_copies_.empty() && image_copies_.empty()) return;
  timeline_.submit(pool_.record([this](VkCommandBuffer commands) { record(commands); }));
  timeline_.wait(SM_WAIT_BLOCK, UINT64_MAX);
  buffer_copies_.clear();
  image_copies_.clear();
  used_ = 0;
}

void Uploader::record(VkCommandBuffer commands) const {
  const DeviceTable& vk = device_->vk();
  for (const BufferCopy& copy : buffer_copies_) {
    vk.vkCmdCopyBuffer(commands, staging_.handle(), copy.target, 1, &copy.region);
  }
  for (const ImageCopy& copy : image_copies_) {
    if (copy.is_first) {
      add_image_barrier(vk, commands, copy.target, kNothing, kTransferWrites,
                        VK_IMAGE_LAYOUT_UNDEFINED, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    }
    vk.vkCmdCopyBufferToImage(commands, staging_.handle(), copy.target,
                              VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &copy.region);
    if (copy.is_last) {
      add_image_barrier(vk, commands, copy.target, kTransferWrites, kKernels,
                        VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                        VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL);
    }
  }
  add_barrier(vk, commands, kTransferWrites, kKernels | kTransfers);
}

}  // namespace smartmem
