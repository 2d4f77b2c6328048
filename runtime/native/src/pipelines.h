// The compute pipelines of a model, and the cache on disk that makes a second start quick.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "device.h"
#include "schedule.h"

namespace smartmem {

struct Pipeline {
  VkPipeline handle;
  VkPipelineLayout layout;
  VkDescriptorSetLayout set_layout;
};

VkDescriptorType descriptor_type(const Binding& binding);

class Pipelines {
 public:
  // One pipeline per kernel, in order. Each kernel's file is compared with its hash, and what it
  // asks of the device with what the device has. `cache_folder` may be empty: nothing is kept.
  Pipelines(DevicePtr device, const std::vector<Kernel>& kernels, const std::string& folder,
            const std::string& cache_folder);
  ~Pipelines();
  Pipelines(const Pipelines&) = delete;
  Pipelines& operator=(const Pipelines&) = delete;

  const Pipeline& operator[](size_t kernel) const { return pipelines_[kernel]; }
  bool cache_hit() const { return cache_hit_; }

 private:
  struct Layout {
    VkDescriptorSetLayout set = VK_NULL_HANDLE;
    VkPipelineLayout pipeline = VK_NULL_HANDLE;
  };

  void create_all(const std::vector<Kernel>& kernels, const std::string& folder);
  void create(const Kernel& kernel, const std::string& folder);
  void add_pipeline(const Kernel& kernel, Bytes code);
  const Layout& layout(const Kernel& kernel);
  void release();

  DevicePtr device_;
  VkPipelineCache cache_ = VK_NULL_HANDLE;
  // By the types of the bindings, and push words.
  std::map<std::pair<std::vector<VkDescriptorType>, uint32_t>, Layout> layouts_;
  std::vector<Pipeline> pipelines_;
  bool cache_hit_ = false;
};

}  // namespace smartmem
