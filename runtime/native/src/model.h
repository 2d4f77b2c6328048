// A loaded model: what all its sessions share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "archive.h"
#include "images.h"
#include "layout.h"
#include "pipelines.h"

namespace smartmem {

class Model {
 public:
  Model(DevicePtr device, const std::string& schedule, const std::string& kernels_folder,
        const std::string& weights, const std::string& cache_folder);

  const DevicePtr& device() const { return device_; }
  const Schedule& schedule() const { return schedule_; }
  const Layout& layout() const { return layout_; }
  const Pipelines& pipelines() const { return *pipelines_; }
  const std::vector<std::unique_ptr<Buffer>>& weights() const { return weights_; }
  const Images& images() const { return *images_; }
  sm_model_stats stats() const;

 private:
  void make_weight_buffers();
  // `archive` may be NULL where nothing comes from it.
  void load_weights(const Archive* archive);
  uint64_t weights_bytes() const;
  uint64_t longest_row() const;
  void run_setup() const;

  DevicePtr device_;
  Schedule schedule_;
  Layout layout_;
  std::unique_ptr<Pipelines> pipelines_;
  std::vector<std::unique_ptr<Buffer>> weights_;
  std::unique_ptr<Images> images_;
  double pipelines_ms_ = 0;
  double weights_ms_ = 0;
};

}  // namespace smartmem
