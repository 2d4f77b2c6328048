#include "model.h"

#include <algorithm>
#include <cstring>

#include "barrier.h"
#include "clock.h"
#include "reader.h"

namespace smartmem {
namespace {

constexpr uint64_t kStagingBytes = 32 << 20;
constexpr VkBufferUsageFlags kWeightUsage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                            VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT |
                                            VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                            VK_BUFFER_USAGE_TRANSFER_DST_BIT;

Bytes entry_of(const Archive& archive, const Upload& upload) {
  const Bytes entry = archive.entry(upload.key);
  if (!is_within(upload.key_offset, upload.length, entry.size)) {
    fail(SM_BAD_FILE, "the weight '", upload.key, "' has ", entry.size, " bytes, too few");
  }
  return {entry.data + upload.key_offset, static_cast<size_t>(upload.length)};
}

Schedule read_schedule(const std::string& path) {
  const MappedFile file(path);
  return parse_schedule(file.bytes(), path);
}

// Sends bytes to device buffers through one mapped buffer, as often as it takes.
class Uploader {
 public:
  Uploader(const DevicePtr& device, uint64_t most)
      : device_(device),
        pool_(device),
        timeline_(device),
        staging_(device, std::min(most, kStagingBytes), VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
                 MemoryUse::kUpload) {}

  void add(Bytes source, VkBuffer target, uint64_t offset) {
    for (size_t done = 0; done < source.size;) {
      if (used_ == staging_.size()) flush();
      const size_t count = std::min<uint64_t>(source.size - done, staging_.size() - used_);
      std::memcpy(staging_.mapped() + used_, source.data + done, count);
      copies_.push_back({target, {used_, offset + done, count}});
      used_ += count;
      done += count;
    }
  }

  void flush() {
    if (copies_.empty()) return;
    const VkCommandBuffer commands = pool_.record([this](VkCommandBuffer buffer) {
      const DeviceTable& vk = device_->vk();
      for (const Copy& copy : copies_) {
        vk.vkCmdCopyBuffer(buffer, staging_.handle(), copy.target, 1, &copy.region);
      }
      // For whatever is submitted later.
      add_barrier(vk, buffer, kTransferWrites, kKernels | kTransfers);
    });
    timeline_.submit(commands);
    timeline_.wait(SM_WAIT_BLOCK, UINT64_MAX);
    copies_.clear();
    used_ = 0;
  }

 private:
  struct Copy {
    VkBuffer target;
    VkBufferCopy region;
  };

  DevicePtr device_;
  CommandPool pool_;
  Timeline timeline_;
  Buffer staging_;
  std::vector<Copy> copies_;
  uint64_t used_ = 0;
};

}  // namespace

Model::Model(DevicePtr device, const std::string& schedule, const std::string& kernels_folder,
             const std::string& weights, const std::string& cache_folder)
    : device_(std::move(device)),
      schedule_(read_schedule(schedule)),
      layout_(lay_out(schedule_, device_->limits())) {
  const Stopwatch pipelines;
  pipelines_ =
      std::make_unique<Pipelines>(device_, schedule_.kernels, kernels_folder, cache_folder);
  pipelines_ms_ = pipelines.milliseconds();
  const Stopwatch uploads;
  make_weight_buffers();
  // Without uploads there need be no archive.
  if (!schedule_.uploads.empty()) load_weights(Archive(weights));
  weights_ms_ = uploads.milliseconds();
}

sm_model_stats Model::stats() const {
  sm_model_stats stats = {};
  for (const uint64_t size : layout_.weight_buffers) stats.weights_bytes += size;
  stats.transient_bytes = layout_.transient_bytes;
  stats.kernels = static_cast<uint32_t>(schedule_.kernels.size());
  stats.commands = static_cast<uint32_t>(schedule_.commands.size());
  stats.barriers = static_cast<uint32_t>(std::max<size_t>(layout_.waves.size(), 1) - 1);
  stats.cache_hit = pipelines_->cache_hit() ? 1 : 0;
  stats.weights_ms = weights_ms_;
  stats.pipelines_ms = pipelines_ms_;
  return stats;
}

void Model::make_weight_buffers() {
  const MemoryUse use = device_->shares_host_memory() ? MemoryUse::kShared : MemoryUse::kDevice;
  for (const uint64_t size : layout_.weight_buffers) {
    weights_.push_back(std::make_unique<Buffer>(device_, size, kWeightUsage, use));
  }
}

void Model::load_weights(const Archive& archive) {
  if (!device_->shares_host_memory()) return upload_staged(archive);
  for (const Upload& upload : schedule_.uploads) {
    const Bytes source = entry_of(archive, upload);
    const Place& place = layout_.places[upload.resource];
    uint8_t* target = weights_[place.buffer]->mapped() + place.offset + upload.offset;
    if (source.size > 0) std::memcpy(target, source.data, source.size);
  }
}

void Model::upload_staged(const Archive& archive) {
  uint64_t total = 0;
  for (const uint64_t size : layout_.weight_buffers) total += size;
  Uploader uploader(device_, total);
  for (const Upload& upload : schedule_.uploads) {
    const Place& place = layout_.places[upload.resource];
    uploader.add(entry_of(archive, upload), weights_[place.buffer]->handle(),
                 place.offset + upload.offset);
  }
  uploader.flush();
}

}  // namespace smartmem
