#include "commands.h"

#include <algorithm>

namespace smartmem {
namespace {

Scope scope_of(const std::vector<Command>& commands) {
  Scope scope = kKernels;
  for (const Command& command : commands) {
    if (command.kind != CommandKind::kDispatch) scope = kKernels | kTransfers;
  }
  return scope;
}

}  // namespace

DescriptorPool::DescriptorPool(DevicePtr device, const DescriptorCounts& counts)
    : device_(std::move(device)) {
  // Of each at least one: Vulkan has no empty pools.
  const VkDescriptorPoolSize sizes[] = {
      {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, std::max(counts.buffers, 1U)},
      {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, std::max(counts.texels, 1U)},
      {VK_DESCRIPTOR_TYPE_SAMPLED_IMAGE, std::max(counts.images, 1U)},
      {VK_DESCRIPTOR_TYPE_STORAGE_IMAGE, std::max(counts.written_images, 1U)}};
  VkDescriptorPoolCreateInfo info = {VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO};
  info.maxSets = std::max(counts.sets, 1U);
  info.poolSizeCount = 4;
  info.pPoolSizes = sizes;
  check(device_->vk().vkCreateDescriptorPool(device_->handle(), &info, nullptr, &handle_),
        "making descriptors");
}

DescriptorPool::~DescriptorPool() {
  device_->vk().vkDestroyDescriptorPool(device_->handle(), handle_, nullptr);
}

VkDescriptorSet DescriptorPool::allocate(VkDescriptorSetLayout layout) const {
  VkDescriptorSetAllocateInfo info = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO};
  info.descriptorPool = handle_;
  info.descriptorSetCount = 1;
  info.pSetLayouts = &layout;
  VkDescriptorSet set = VK_NULL_HANDLE;
  check(device_->vk().vkAllocateDescriptorSets(device_->handle(), &info, &set),
        "allocating descriptors");
  return set;
}

Commands::Commands(DevicePtr device, const Schedule& schedule, const std::vector<Command>& commands,
                   const Layout& layout, const Pipelines& pipelines, const Images& images,
                   const std::function<VkBuffer(uint32_t)>& buffer, const FindSpot& find)
    : device_(std::move(device)),
      schedule_(schedule),
      commands_(commands),
      layout_(layout),
      pipelines_(pipelines),
      images_(images),
      buffer_(buffer),
      find_(find),
      scope_(scope_of(commands)) {
  make_descriptor_sets();
}

// The first byte of a use; what is an image only has no buffer.
Spot Commands::spot_of(uint32_t number, const Use& use) const {
  if (const Spot* found = find_ ? find_(number, use.resource) : nullptr) {
    return {found->buffer, found->offset + use.offset, found->image, found->layout};
  }
  const Place& place = layout_.places[use.resource];
  Spot spot;
  if (place.buffer != kNoBuffer) spot = {buffer_(place.buffer), place.offset + use.offset};
  if (const uint32_t image = layout_.image_of[use.resource]; image != kNoImage) {
    spot.image = images_[image].view();
  }
  return spot;
}

void Commands::make_descriptor_sets() {
  DescriptorCounts counts;
  for (const Command& command : commands_) {
    if (command.kind != CommandKind::kDispatch) continue;
    counts.sets += 1;
    for (const Binding& binding : schedule_.kernels[command.kernel].bindings) {
      (binding.kind == BindingKind::kBuffer   ? counts.buffers
       : binding.kind == BindingKind::kTexels ? counts.texels
       : binding.kind == BindingKind::kImage  ? counts.images
                                              : counts.written_images) += 1;
    }
  }
  descriptors_ = std::make_unique<DescriptorPool>(device_, counts);
  for (uint32_t number = 0; number < commands_.size(); ++number) {
    VkDescriptorSet set = VK_NULL_HANDLE;
    if (commands_[number].kind == CommandKind::kDispatch) {
      set = descriptors_->allocate(pipelines_[commands_[number].kernel].set_layout);
      write_descriptor_set(number, set);
    }
    sets_.push_back(set);
  }
}

void Commands::write_descriptor_set(uint32_t number, VkDescriptorSet set) {
  const Command& command = commands_[number];
  const std::vector<Binding>& bindings = schedule_.kernels[command.kernel].bindings;
  std::vector<VkDescriptorBufferInfo> buffers(bindings.size());
  std::vector<VkBufferView> views(bindings.size());
  std::vector<VkDescriptorImageInfo> images(bindings.size());
  std::vector<VkWriteDescriptorSet> writes(bindings.size());
  for (uint32_t i = 0; i < bindings.size(); ++i) {
    const Use& use = command.uses[i];
    const Spot spot = spot_of(number, use);
    if (is_image(bindings[i].kind)) {
      images[i] = {VK_NULL_HANDLE, spot.image, spot.layout};
    } else if (bindings[i].kind == BindingKind::kTexels) {
      views_.push_back(std::make_unique<BufferView>(device_, spot.buffer,
                                                    static_cast<VkFormat>(bindings[i].format),
                                                    spot.offset, use.length));
      views[i] = views_.back()->handle();
    } else {
      buffers[i] = {spot.buffer, spot.offset, bound_bytes(use)};
    }
    writes[i] = {VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET};
    writes[i].dstSet = set;
    writes[i].dstBinding = i;
    writes[i].descriptorCount = 1;
    writes[i].descriptorType = descriptor_type(bindings[i]);
    writes[i].pBufferInfo = &buffers[i];
    writes[i].pTexelBufferView = &views[i];
    writes[i].pImageInfo = &images[i];
  }
  device_->vk().vkUpdateDescriptorSets(device_->handle(), static_cast<uint32_t>(writes.size()),
                                       writes.data(), 0, nullptr);
}

void Commands::record_waves(VkCommandBuffer target, const std::vector<Wave>& waves) const {
  bool is_first = true;
  for (const Wave& wave : waves) {
    if (!is_first) record_barrier(target);
    is_first = false;
    for (const uint32_t number : wave) record(target, number);
  }
}

void Commands::record_barrier(VkCommandBuffer target, const std::vector<VkImage>& begun) const {
  add_barrier(device_->vk(), target, scope_, scope_, begun);
}

void Commands::record(VkCommandBuffer target, uint32_t number) const {
  const DeviceTable& vk = device_->vk();
  const Command& command = commands_[number];
  switch (command.kind) {
    case CommandKind::kDispatch: {
      const Pipeline& pipeline = pipelines_[command.kernel];
      const auto [x, y, z] = command.workgroups;
      vk.vkCmdBindPipeline(target, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.handle);
      vk.vkCmdBindDescriptorSets(target, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.layout, 0, 1,
                                 &sets_[number], 0, nullptr);
      if (!command.words.empty()) {
        vk.vkCmdPushConstants(target, pipeline.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                              static_cast<uint32_t>(4 * command.words.size()),
                              command.words.data());
      }
      vk.vkCmdDispatch(target, x, y, z);
      return;
    }
    case CommandKind::kFill: {
      const Use& range = command.uses[0];
      const Spot spot = spot_of(number, range);
      vk.vkCmdFillBuffer(target, spot.buffer, spot.offset, range.length, command.pattern);
      return;
    }
    case CommandKind::kCopy: {
      const Spot from = spot_of(number, command.uses[0]);
      const Spot to = spot_of(number, command.uses[1]);
      const VkBufferCopy region = {from.offset, to.offset, command.uses[0].length};
      vk.vkCmdCopyBuffer(target, from.buffer, to.buffer, 1, &region);
      return;
    }
  }
}

}  // namespace smartmem
