// A loaded model: what all its sessions share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "archive.h"
#include "images.h"
#include "layout.h"
#include "pipelines.h"
#include "stream_hints.h"
#include "uploader.h"

namespace smartmem {

// Whether weights are loaded with the model, or by each session under a budget of its own.
enum class Weights { kLoaded, kStreamed };

// The plan that came with the model, as this device can follow it: in memory that is laid out for
// its order of commands.
struct AdoptedPlan {
  Layout layout;
  StreamSet set;
  StreamPlan plan;
};

class Model {
 public:
  Model(DevicePtr device, const std::string& schedule, const std::string& kernels_folder,
        const std::string& weights, const std::string& cache_folder, Weights mode);

  const DevicePtr& device() const { return device_; }
  const Schedule& schedule() const { return schedule_; }
  const Layout& layout() const { return layout_; }
  const Pipelines& pipelines() const { return *pipelines_; }
  const std::vector<std::unique_ptr<Buffer>>& weights() const { return weights_; }
  const Images& images() const { return *images_; }
  // What can be streamed, and from where; NULL where all weights are loaded.
  const StreamSet* stream() const { return stream_.get(); }
  // NULL where there is none, or it is for another budget.
  const AdoptedPlan* adopted(uint64_t budget_bytes) const;
  // The budget that the model was compiled with; 0 for none, and where all weights are loaded.
  uint64_t compiled_budget_bytes() const { return compiled_budget_bytes_; }
  // The smallest budget with which calls take at most so many times as long as with all weights in
  // memory, as is predicted. Throws SM_INVALID_ARGUMENT where times are not known.
  uint64_t choose_budget(double slowdown) const;
  const std::shared_ptr<const Archive>& archive() const { return archive_; }
  sm_model_stats stats() const;

 private:
  void make_weight_buffers();
  void load_weights(const std::vector<bool>& streamed);
  Layout lay_out_in(const std::vector<bool>& streamed, const std::vector<uint32_t>& steps) const;
  void prepare_streaming(const std::vector<bool>& streamed, const std::string& hints_file);
  Source source_of(const Upload& upload) const;
  uint64_t weights_bytes() const;
  uint64_t longest_row() const;
  void run_setup() const;

  DevicePtr device_;
  Schedule schedule_;
  Layout layout_;
  std::unique_ptr<Pipelines> pipelines_;
  std::vector<std::unique_ptr<Buffer>> weights_;
  std::unique_ptr<Images> images_;
  std::shared_ptr<const Archive> archive_;  // NULL where nothing comes from it
  std::unique_ptr<StreamSet> stream_;
  std::unique_ptr<AdoptedPlan> adopted_;
  uint64_t compiled_budget_bytes_ = 0;
  double pipelines_ms_ = 0;
  double weights_ms_ = 0;
};

}  // namespace smartmem
