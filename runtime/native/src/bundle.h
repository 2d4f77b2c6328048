// The folder of a compiled model, MODEL.smartmem, as runtime/bundle.py describes it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model.h"

namespace smartmem {

// An input or output, as kernels see it.
struct TensorSpec {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  size_t size_bytes;
};

// One compiled form that the executor can run.
struct TargetEntry {
  std::string name;
  Digest schedule_sha256;
  uint64_t budget_bytes;  // that it was compiled with; 0: none
  std::optional<Digest> stream_sha256;
};

class Bundle {
 public:
  // Reads the manifest; throws SM_BAD_FILE for what is no compiled model of this format.
  explicit Bundle(const std::string& folder);

  // Those with elements: others are no arguments of the compiled function.
  const std::vector<TensorSpec>& inputs() const { return inputs_; }
  const std::vector<TensorSpec>& outputs() const { return outputs_; }
  const std::vector<TargetEntry>& targets() const { return targets_; }

  // The target of this name, or the only one where the name is empty; throws SM_INVALID_ARGUMENT
  // where there is none such.
  const TargetEntry& target(const std::string& name) const;

  // Loads the target of this name, or the only one where the name is empty. Throws
  // SM_INVALID_ARGUMENT where there is none such, SM_BAD_FILE where its files are not those that
  // the manifest tells of, and what Model throws.
  std::shared_ptr<const Model> load(DevicePtr device, const std::string& target,
                                    const std::string& cache_folder, Weights mode) const;

 private:
  std::string folder_;
  uint64_t weights_bytes_ = 0;
  std::vector<TensorSpec> inputs_;
  std::vector<TensorSpec> outputs_;
  std::vector<TargetEntry> targets_;
};

}  // namespace smartmem
