// The C border of compiled models as folders.
#include <algorithm>
#include <optional>

#include "describe.h"
#include "handles.h"

using smartmem::Device;
using smartmem::fail;
using smartmem::guarded;
using smartmem::require;
using smartmem::TensorSpec;

namespace {

sm_code describe_tensor(const std::vector<TensorSpec>& specs, size_t index, sm_tensor* tensor,
                        sm_error* error) {
  return guarded(error, [&] {
    require(tensor, "tensor");
    if (index >= specs.size()) fail(SM_INVALID_ARGUMENT, "there are only ", specs.size());
    const TensorSpec& spec = specs[index];
    *tensor = {spec.name.c_str(), spec.dtype.c_str(), spec.shape.data(), spec.shape.size(),
               spec.size_bytes};
  });
}

// GPUs before software, else in the loader's order.
std::shared_ptr<const Device> first_device() {
  std::vector<sm_device_info> infos = smartmem::list_devices();
  if (infos.empty()) fail(SM_NO_VULKAN, "no Vulkan device");
  std::stable_partition(infos.begin(), infos.end(),
                        [](const sm_device_info& info) { return info.kind != SM_DEVICE_CPU; });
  smartmem::Uuid identity;
  std::copy_n(infos.front().uuid, identity.size(), identity.begin());
  return std::make_shared<const Device>(identity);
}

std::shared_ptr<const smartmem::Model> load(const sm_bundle* bundle,
                                            std::shared_ptr<const Device> device,
                                            const char* target, const char* cache_folder,
                                            smartmem::Weights mode) {
  return bundle->bundle.load(std::move(device), target ? target : "",
                             cache_folder ? cache_folder : "", mode);
}

}  // namespace

sm_code sm_device_describe(sm_device* device, char* json, size_t capacity, size_t* size,
                           sm_error* error) {
  return guarded(error, [&] {
    require(device, "device");
    require(size, "size");
    const std::string text = smartmem::describe(*device->device);
    *size = text.size() + 1;
    if (json != nullptr && capacity >= *size) std::copy_n(text.c_str(), *size, json);
  });
}

sm_code sm_bundle_open(const char* folder, sm_bundle** bundle, sm_error* error) {
  return guarded(error, [&] {
    require(folder, "folder");
    require(bundle, "bundle");
    *bundle = new sm_bundle{smartmem::Bundle(folder)};
  });
}

void sm_bundle_release(sm_bundle* bundle) { delete bundle; }

size_t sm_bundle_target_count(const sm_bundle* bundle) { return bundle->bundle.targets().size(); }

const char* sm_bundle_target(const sm_bundle* bundle, size_t index) {
  const auto& targets = bundle->bundle.targets();
  return index < targets.size() ? targets[index].name.c_str() : nullptr;
}

uint64_t sm_bundle_target_budget(const sm_bundle* bundle, size_t index) {
  const auto& targets = bundle->bundle.targets();
  return index < targets.size() ? targets[index].budget_bytes : 0;
}

size_t sm_bundle_input_count(const sm_bundle* bundle) { return bundle->bundle.inputs().size(); }

size_t sm_bundle_output_count(const sm_bundle* bundle) { return bundle->bundle.outputs().size(); }

sm_code sm_bundle_input(const sm_bundle* bundle, size_t index, sm_tensor* tensor,
                        sm_error* error) {
  return describe_tensor(bundle->bundle.inputs(), index, tensor, error);
}

sm_code sm_bundle_output(const sm_bundle* bundle, size_t index, sm_tensor* tensor,
                         sm_error* error) {
  return describe_tensor(bundle->bundle.outputs(), index, tensor, error);
}

namespace {

sm_code load_model(const sm_bundle* bundle, sm_device* device, const char* target,
                   const char* cache_folder, smartmem::Weights mode, sm_model** model,
                   sm_error* error) {
  return guarded(error, [&] {
    require(bundle, "bundle");
    require(device, "device");
    require(model, "model");
    *model = new sm_model{load(bundle, device->device, target, cache_folder, mode)};
  });
}

sm_code open_session(const sm_bundle* bundle, const char* target, const char* cache_folder,
                     std::optional<uint64_t> budget_bytes, sm_session** session, sm_error* error) {
  return guarded(error, [&] {
    require(bundle, "bundle");
    require(session, "session");
    std::optional<uint64_t> budget = budget_bytes;
    const uint64_t compiled = bundle->bundle.target(target == nullptr ? "" : target).budget_bytes;
    if (!budget && compiled > 0) budget = compiled;
    const auto mode = budget ? smartmem::Weights::kStreamed : smartmem::Weights::kLoaded;
    auto model = load(bundle, first_device(), target, cache_folder, mode);
    *session = new sm_session{std::make_unique<smartmem::Session>(std::move(model), budget)};
  });
}

}  // namespace

sm_code sm_bundle_load(const sm_bundle* bundle, sm_device* device, const char* target,
                       const char* cache_folder, sm_model** model, sm_error* error) {
  return load_model(bundle, device, target, cache_folder, smartmem::Weights::kLoaded, model, error);
}

sm_code sm_bundle_stream(const sm_bundle* bundle, sm_device* device, const char* target,
                         const char* cache_folder, sm_model** model, sm_error* error) {
  return load_model(bundle, device, target, cache_folder, smartmem::Weights::kStreamed, model,
                    error);
}

sm_code sm_session_open(const sm_bundle* bundle, const char* target, const char* cache_folder,
                        sm_session** session, sm_error* error) {
  return open_session(bundle, target, cache_folder, std::nullopt, session, error);
}

sm_code sm_session_open_within(const sm_bundle* bundle, const char* target,
                               const char* cache_folder, uint64_t budget_bytes,
                               sm_session** session, sm_error* error) {
  return open_session(bundle, target, cache_folder, budget_bytes, session, error);
}
