#include "pipelines.h"

#include <algorithm>
#include <cstring>
#include <iomanip>
#include <memory>

#include "formats.h"
#include "spirv.h"

namespace smartmem {
namespace {

// The file for these kernels on this device and driver: another of any of them is another file.
std::string cache_path(const std::string& folder, const VkPhysicalDeviceProperties& device,
                       const std::vector<Kernel>& kernels) {
  std::vector<uint8_t> identity(device.pipelineCacheUUID, device.pipelineCacheUUID + VK_UUID_SIZE);
  for (const uint32_t number : {device.vendorID, device.deviceID, device.driverVersion}) {
    for (int i = 0; i < 4; ++i) identity.push_back(static_cast<uint8_t>(number >> 8 * i));
  }
  for (const Kernel& kernel : kernels) {
    identity.insert(identity.end(), kernel.sha256.begin(), kernel.sha256.end());
  }
  const Digest digest = sha256({identity.data(), identity.size()});
  std::ostringstream path;
  path << folder << '/' << std::hex << std::setfill('0');
  for (size_t i = 0; i < 16; ++i) path << std::setw(2) << static_cast<int>(digest[i]);
  path << ".pipelines";
  return path.str();
}

// Files begin with the hash of the rest: drivers need not survive damaged data.
std::vector<uint8_t> read_cache(const std::string& path) {
  try {
    const MappedFile file(path);
    const Bytes all = file.bytes();
    Digest stated;
    if (all.size <= stated.size()) return {};
    std::memcpy(stated.data(), all.data, stated.size());
    const Bytes rest{all.data + stated.size(), all.size - stated.size()};
    if (sha256(rest) != stated) return {};
    return {rest.data, rest.data + rest.size};
  } catch (const Error&) {
    return {};
  }
}

// A cache that cannot be written is a slower next start, and no error.
void write_cache(const std::string& path, const Device& device, VkPipelineCache cache) {
  size_t size = 0;
  const auto get = device.vk().vkGetPipelineCacheData;
  if (get(device.handle(), cache, &size, nullptr) != VK_SUCCESS) return;
  Digest digest;
  std::vector<uint8_t> content(digest.size() + size);
  uint8_t* rest = content.data() + digest.size();
  if (get(device.handle(), cache, &size, rest) != VK_SUCCESS) return;
  digest = sha256({rest, size});
  std::memcpy(content.data(), digest.data(), digest.size());
  replace_file(path, {content.data(), digest.size() + size});
}

bool has_format(const Device& device, const Binding& binding) {
  const auto format = static_cast<VkFormat>(binding.format);
  switch (binding.kind) {
    case BindingKind::kBuffer:
      return true;
    case BindingKind::kTexels:
      return texel_bytes(format) > 0 && device.has_texel_format(format);
    case BindingKind::kImage:
      return texel_bytes(format) > 0 && device.has_image_format(format);
    case BindingKind::kWrittenImage:
      return texel_bytes(format) > 0 && device.has_written_format(format);
  }
  return false;
}

void check_shader(const Device& device, const Kernel& kernel, const Shader& shader) {
  const VkPhysicalDeviceLimits& limits = device.limits();
  const auto require = [&](bool condition, const auto&... what) {
    if (!condition) fail(SM_UNSUPPORTED, "kernel ", kernel.entry, ": ", what...);
  };
  for (const uint32_t capability : shader.capabilities) {
    require(device.features().allows(capability, device.subgroup().supportedOperations),
            "the device lacks what SPIR-V capability ", capability, " stands for");
  }
  uint64_t threads = 1;
  for (size_t i = 0; i < 3; ++i) {
    threads *= shader.local_size[i];
    require(shader.local_size[i] > 0 && shader.local_size[i] <= limits.maxComputeWorkGroupSize[i] &&
                threads <= limits.maxComputeWorkGroupInvocations,
            "its workgroup is too large for the device");
  }
  require(kernel.push_words <= limits.maxPushConstantsSize / 4, "too many push constants");
  // Texel buffers count as images.
  uint32_t buffers = 0, texels = 0, written = 0;
  for (const Binding& binding : kernel.bindings) {
    (binding.kind == BindingKind::kBuffer         ? buffers
     : binding.kind == BindingKind::kWrittenImage ? written
                                                  : texels) += 1;
    require(has_format(device, binding), "the device cannot ",
            binding.kind == BindingKind::kWrittenImage ? "write" : "fetch",
            " texels of VkFormat ", binding.format);
  }
  require(buffers <= limits.maxPerStageDescriptorStorageBuffers &&
              buffers <= limits.maxDescriptorSetStorageBuffers,
          "it binds ", buffers, " buffers, more than the device allows");
  require(texels <= limits.maxPerStageDescriptorSampledImages &&
              texels <= limits.maxDescriptorSetSampledImages,
          "it binds ", texels, " images, more than the device allows");
  require(written <= limits.maxPerStageDescriptorStorageImages &&
              written <= limits.maxDescriptorSetStorageImages,
          "it writes ", written, " images, more than the device allows");
  for (const auto& [binding, kind] : shader.bindings) {
    if (binding >= kernel.bindings.size() || kernel.bindings[binding].kind != kind) {
      fail(SM_BAD_FILE, "kernel ", kernel.entry, ": binding ", binding,
           " is not that of the schedule");
    }
    const auto format = shader.formats.find(binding);
    if (format != shader.formats.end() && format->second != kernel.bindings[binding].format) {
      fail(SM_BAD_FILE, "kernel ", kernel.entry, ": binding ", binding,
           " has another format in the schedule");
    }
  }
}

// Whether the pipeline must demand the subgroup size its kernel was made for; throws where the
// device cannot give it: the kernel's sums would be wrong.
bool demands_subgroup_size(const Device& device, const Kernel& kernel) {
  const uint32_t size = kernel.subgroup_size;
  const auto& range = device.subgroup_sizes();
  const bool can_choose = device.features().can_set_subgroup_size() &&
                          (range.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0 &&
                          range.minSubgroupSize <= size && size <= range.maxSubgroupSize;
  if (size == 0) return false;
  // Without the choice, a device with one size only always uses it.
  const bool is_fixed = range.minSubgroupSize == range.maxSubgroupSize;
  if (size == device.subgroup().subgroupSize && (is_fixed || !can_choose)) return false;
  if (!can_choose) {
    fail(SM_UNSUPPORTED, "kernel ", kernel.entry, " was made for subgroups of ", size,
         ", but the device has ", device.subgroup().subgroupSize);
  }
  return true;
}

}  // namespace

VkDescriptorType descriptor_type(const Binding& binding) {
  switch (binding.kind) {
    case BindingKind::kTexels:
      return VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
    case BindingKind::kImage:
      return VK_DESCRIPTOR_TYPE_SAMPLED_IMAGE;
    case BindingKind::kWrittenImage:
      return VK_DESCRIPTOR_TYPE_STORAGE_IMAGE;
    case BindingKind::kBuffer:
      break;
  }
  return VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
}

Pipelines::Pipelines(DevicePtr device, const std::vector<Kernel>& kernels,
                     const std::string& folder, const std::string& cache_folder)
    : device_(std::move(device)) {
  const std::string path = cache_folder.empty()
                               ? std::string()
                               : cache_path(cache_folder, device_->properties(), kernels);
  const std::vector<uint8_t> held = path.empty() ? std::vector<uint8_t>() : read_cache(path);
  VkPipelineCacheCreateInfo info = {VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
  info.initialDataSize = held.size();
  info.pInitialData = held.data();
  check(device_->vk().vkCreatePipelineCache(device_->handle(), &info, nullptr, &cache_),
        "making a pipeline cache");
  cache_hit_ = !held.empty();
  try {
    create_all(kernels, folder);
  } catch (...) {
    release();
    throw;
  }
  if (!path.empty() && !cache_hit_) write_cache(path, *device_, cache_);
}

Pipelines::~Pipelines() { release(); }

void Pipelines::create_all(const std::vector<Kernel>& kernels, const std::string& folder) {
  pipelines_.reserve(kernels.size());
  for (const Kernel& kernel : kernels) create(kernel, folder);
}

void Pipelines::create(const Kernel& kernel, const std::string& folder) {
  const std::string path = folder + "/" + kernel.file;
  const MappedFile file(path);
  if (sha256(file.bytes()) != kernel.sha256) {
    fail(SM_BAD_FILE, path, ": its hash differs from the schedule's; the file is damaged");
  }
  check_shader(*device_, kernel, read_shader(file.bytes(), kernel.entry, path));
  add_pipeline(kernel, file.bytes());
}

void Pipelines::add_pipeline(const Kernel& kernel, Bytes code) {
  const DeviceTable& vk = device_->vk();
  const Layout& layout = this->layout(kernel);
  VkShaderModuleCreateInfo shader = {VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
  shader.codeSize = code.size;
  shader.pCode = reinterpret_cast<const uint32_t*>(code.data);
  VkShaderModule module = VK_NULL_HANDLE;
  check(vk.vkCreateShaderModule(device_->handle(), &shader, nullptr, &module), "loading a kernel");
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup = {
      VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO};
  subgroup.requiredSubgroupSize = kernel.subgroup_size;
  VkComputePipelineCreateInfo info = {VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO};
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module;
  info.stage.pName = kernel.entry.c_str();
  info.layout = layout.pipeline;
  VkPipeline pipeline = VK_NULL_HANDLE;
  VkResult result = VK_SUCCESS;
  try {
    if (demands_subgroup_size(*device_, kernel)) info.stage.pNext = &subgroup;
    result = vk.vkCreateComputePipelines(device_->handle(), cache_, 1, &info, nullptr, &pipeline);
  } catch (...) {
    vk.vkDestroyShaderModule(device_->handle(), module, nullptr);
    throw;
  }
  vk.vkDestroyShaderModule(device_->handle(), module, nullptr);
  check(result, text("making the pipeline of ", kernel.entry).c_str());
  pipelines_.push_back({pipeline, layout.pipeline, layout.set});
}

const Pipelines::Layout& Pipelines::layout(const Kernel& kernel) {
  std::vector<VkDescriptorType> types;
  for (const Binding& binding : kernel.bindings) types.push_back(descriptor_type(binding));
  const auto key = std::make_pair(types, kernel.push_words);
  if (const auto found = layouts_.find(key); found != layouts_.end()) return found->second;
  const DeviceTable& vk = device_->vk();
  std::vector<VkDescriptorSetLayoutBinding> slots;
  for (const VkDescriptorType type : types) {
    const auto number = static_cast<uint32_t>(slots.size());
    slots.push_back({number, type, 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr});
  }
  VkDescriptorSetLayoutCreateInfo set = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO};
  set.bindingCount = static_cast<uint32_t>(slots.size());
  set.pBindings = slots.data();
  Layout& layout = layouts_[key];
  check(vk.vkCreateDescriptorSetLayout(device_->handle(), &set, nullptr, &layout.set),
        "making a descriptor layout");
  const VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, 4 * kernel.push_words};
  VkPipelineLayoutCreateInfo info = {VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
  info.setLayoutCount = 1;
  info.pSetLayouts = &layout.set;
  info.pushConstantRangeCount = kernel.push_words > 0 ? 1 : 0;
  info.pPushConstantRanges = &range;
  check(vk.vkCreatePipelineLayout(device_->handle(), &info, nullptr, &layout.pipeline),
        "making a pipeline layout");
  return layout;
}

void Pipelines::release() {
  const DeviceTable& vk = device_->vk();
  for (const Pipeline& pipeline : pipelines_) {
    vk.vkDestroyPipeline(device_->handle(), pipeline.handle, nullptr);
  }
  for (const auto& [key, layout] : layouts_) {
    vk.vkDestroyPipelineLayout(device_->handle(), layout.pipeline, nullptr);
    vk.vkDestroyDescriptorSetLayout(device_->handle(), layout.set, nullptr);
  }
  vk.vkDestroyPipelineCache(device_->handle(), cache_, nullptr);
}

}  // namespace smartmem
