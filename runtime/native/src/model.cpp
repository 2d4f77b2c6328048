#include "model.h"

#include <algorithm>
#include <cstring>

#include "clock.h"
#include "commands.h"
#include "formats.h"
#include "reader.h"
#include "uploader.h"

namespace smartmem {
namespace {

constexpr VkBufferUsageFlags kWeightUsage =
    kCommandUsage | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT;

Bytes source_of(const Schedule& schedule, const Archive* archive, const Upload& upload) {
  if (upload.key.empty()) {
    return {schedule.data.data() + upload.key_offset, static_cast<size_t>(upload.length)};
  }
  const Bytes entry = archive->entry(upload.key);
  if (!is_within(upload.key_offset, upload.length, entry.size)) {
    fail(SM_BAD_FILE, "the weight '", upload.key, "' has ", entry.size, " bytes, too few");
  }
  return {entry.data + upload.key_offset, static_cast<size_t>(upload.length)};
}

bool needs_archive(const Schedule& schedule) {
  return std::any_of(schedule.uploads.begin(), schedule.uploads.end(),
                     [](const Upload& upload) { return !upload.key.empty(); });
}

Schedule read_schedule(const std::string& path) {
  const MappedFile file(path);
  return parse_schedule(file.bytes(), path);
}

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
  images_ = std::make_unique<Images>(device_, layout_.images);
  if (needs_archive(schedule_)) {
    const Archive archive(weights);
    load_weights(&archive);
  } else {
    load_weights(nullptr);
  }
  if (!schedule_.setup.empty()) run_setup();
  weights_ms_ = uploads.milliseconds();
}

sm_model_stats Model::stats() const {
  sm_model_stats stats = {};
  stats.weights_bytes = weights_bytes();
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

// In place where the host can write the buffers of weights; images never are.
void Model::load_weights(const Archive* archive) {
  const bool is_staged = !device_->shares_host_memory();
  Uploader uploader(device_, is_staged ? weights_bytes() : images_->bytes(), longest_row());
  for (const Upload& upload : schedule_.uploads) {
    const Bytes source = source_of(schedule_, archive, upload);
    if (const uint32_t image = layout_.image_of[upload.resource]; image != kNoImage) {
      uploader.add(source, (*images_)[image]);
    }
    const Place& place = layout_.places[upload.resource];
    if (place.buffer == kNoBuffer || source.size == 0) continue;
    const Buffer& target = *weights_[place.buffer];
    const uint64_t offset = place.offset + upload.offset;
    if (is_staged) {
      uploader.add(source, target.handle(), offset);
    } else {
      std::memcpy(target.mapped() + offset, source.data, source.size);
    }
  }
  uploader.flush();
}

uint64_t Model::weights_bytes() const {
  uint64_t total = images_->bytes();
  for (const uint64_t size : layout_.weight_buffers) total += size;
  return total;
}

uint64_t Model::longest_row() const {
  uint64_t longest = 0;
  for (const ImagePlan& plan : layout_.images) {
    longest = std::max(longest, uint64_t{plan.width} * texel_bytes(plan.format));
  }
  return longest;
}

void Model::run_setup() const {
  std::unique_ptr<Buffer> scratch;
  if (layout_.setup_bytes > 0) {
    scratch = std::make_unique<Buffer>(device_, layout_.setup_bytes, kCommandUsage,
                                       MemoryUse::kDevice);
  }
  const Commands setup(device_, schedule_, schedule_.setup, layout_, *pipelines_, *images_,
                       [&](uint32_t number) {
                         const bool is_weight = number < layout_.setup_buffer();
                         return is_weight ? weights_[number]->handle() : scratch->handle();
                       });
  CommandPool pool(device_);
  Timeline timeline(device_);
  timeline.submit(pool.record([&](VkCommandBuffer commands) {
    setup.record_waves(commands, layout_.setup_waves);
    // For whatever is submitted later.
    add_barrier(device_->vk(), commands, setup.scope(), kKernels | kTransfers);
  }));
  timeline.wait(SM_WAIT_BLOCK, UINT64_MAX);
}

}  // namespace smartmem
