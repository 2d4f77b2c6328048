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

std::string beside(const std::string& path, const char* name) {
  const size_t end = path.find_last_of('/');
  return (end == std::string::npos ? std::string() : path.substr(0, end + 1)) + name;
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
             const std::string& weights, const std::string& cache_folder, Weights mode)
    : device_(std::move(device)), schedule_(read_schedule(schedule)) {
  const bool streams = mode == Weights::kStreamed;
  const std::vector<bool> streamed =
      streams ? streamable(schedule_) : std::vector<bool>(schedule_.resources.size(), false);
  layout_ = lay_out_in(streamed, {});
  const Stopwatch pipelines;
  pipelines_ =
      std::make_unique<Pipelines>(device_, schedule_.kernels, kernels_folder, cache_folder);
  pipelines_ms_ = pipelines.milliseconds();
  const Stopwatch uploads;
  make_weight_buffers();
  images_ = std::make_unique<Images>(device_, layout_.images);
  if (streams || needs_archive(schedule_)) archive_ = std::make_shared<const Archive>(weights);
  load_weights(streamed);
  if (!schedule_.setup.empty()) run_setup();
  weights_ms_ = uploads.milliseconds();
  if (streams) {
    prepare_streaming(streamed, beside(schedule, kHintsFile));
  } else {
    archive_.reset();
  }
}

Layout Model::lay_out_in(const std::vector<bool>& streamed,
                         const std::vector<uint32_t>& steps) const {
  const FindNeeds needs_of = [this](const ImagePlan& plan) {
    if (!device_->has_written_format(static_cast<VkFormat>(plan.format))) {
      fail(SM_UNSUPPORTED, "the device cannot write images of VkFormat ", plan.format);
    }
    const VkMemoryRequirements needs = Image(device_, plan, false, kScratchImage).needs();
    return ImageNeeds{needs.size, needs.alignment};
  };
  return lay_out(schedule_, device_->limits(), streamed, needs_of, steps);
}

void Model::prepare_streaming(const std::vector<bool>& streamed, const std::string& hints_file) {
  const StreamHints hints = read_stream_hints(hints_file, schedule_.commands.size());
  stream_ = std::make_unique<StreamSet>(
      make_stream_set(device_, schedule_, layout_, streamed, *archive_, weights_bytes()));
  set_times(*stream_, hints.times_ns, hints.read_bytes_per_s);
  compiled_budget_bytes_ = hints.budget_bytes;
  if (!hints.plan) return;
  AdoptedPlan adopted;
  adopted.layout = lay_out_in(streamed, hints.plan->steps);
  adopted.set = in_the_order_of(adopted.layout, *stream_, schedule_);
  std::optional<StreamPlan> plan = adopt(adopted.set, *hints.plan, hints.budget_bytes);
  if (!plan) return;
  adopted.plan = std::move(*plan);
  adopted_ = std::make_unique<AdoptedPlan>(std::move(adopted));
}

const AdoptedPlan* Model::adopted(uint64_t budget_bytes) const {
  return budget_bytes == compiled_budget_bytes_ ? adopted_.get() : nullptr;
}

uint64_t Model::choose_budget(double slowdown) const {
  if (stream_ == nullptr) fail(SM_INVALID_ARGUMENT, "the model was loaded with all its weights");
  if (stream_->problem.bytes_per_work <= 0) {
    fail(SM_INVALID_ARGUMENT, "the model does not say how long its commands may take, so no budget ",
         "can be chosen; compile it again, or give a size");
  }
  return cheapest_budget(stream_->problem, slowdown);
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
    weights_.push_back(std::make_unique<Buffer>(device_, size, kCommandUsage, use));
  }
}

Source Model::source_of(const Upload& upload) const {
  if (upload.key.empty()) {
    return {upload.length, [this, &upload](uint64_t offset, uint8_t* target, size_t size) {
              std::memcpy(target, schedule_.data.data() + upload.key_offset + offset, size);
            }};
  }
  const Entry& entry = archive_->entry(upload.key);
  if (!is_within(upload.key_offset, upload.length, entry.size)) {
    fail(SM_BAD_FILE, "the weight '", upload.key, "' has ", entry.size, " bytes, too few");
  }
  return {upload.length, [this, &entry, &upload](uint64_t offset, uint8_t* target, size_t size) {
            archive_->read(entry, upload.key_offset + offset, target, size);
          }};
}

// In place where the host can write the buffers of weights; images never are.
void Model::load_weights(const std::vector<bool>& streamed) {
  const bool is_staged = !device_->shares_host_memory();
  Uploader uploader(device_, is_staged ? weights_bytes() : images_->bytes(), longest_row());
  for (const Upload& upload : schedule_.uploads) {
    if (streamed[upload.resource]) continue;
    const Source source = source_of(upload);
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
      source.read(0, target.mapped() + offset, source.size);
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
