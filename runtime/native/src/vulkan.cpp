#include "vulkan.h"

#include <dlfcn.h>

#include <atomic>

namespace smartmem {
namespace {

std::atomic<PFN_vkGetInstanceProcAddr> given_loader{nullptr};

// The system's loader. It is never closed: drivers leave threads and thread-local data behind.
PFN_vkGetInstanceProcAddr system_loader() {
  for (const char* name : {"libvulkan.so.1", "libvulkan.so"}) {
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
      return reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
    }
  }
  return nullptr;
}

PFN_vkGetInstanceProcAddr loader() {
  static const PFN_vkGetInstanceProcAddr of_system = system_loader();
  const PFN_vkGetInstanceProcAddr given = given_loader.load();
  const PFN_vkGetInstanceProcAddr found = given != nullptr ? given : of_system;
  if (found == nullptr) fail(SM_NO_VULKAN, "no Vulkan loader (libvulkan.so.1) on this machine");
  return found;
}

template <class Function>
void require(Function function, const char* name) {
  if (function == nullptr) fail(SM_NO_VULKAN, "the Vulkan driver has no ", name);
}

InstanceTable load_instance_table(PFN_vkGetInstanceProcAddr get, VkInstance instance) {
  InstanceTable table;
#define SM_LOAD(name)                                             \
  table.name = reinterpret_cast<PFN_##name>(get(instance, #name)); \
  require(table.name, #name);
  SM_INSTANCE_FUNCTIONS(SM_LOAD)
#undef SM_LOAD
  return table;
}

}  // namespace

void set_vulkan(PFN_vkGetInstanceProcAddr get_instance_proc_addr) {
  given_loader.store(get_instance_proc_addr);
}

Instance::Instance() {
  const PFN_vkGetInstanceProcAddr get = loader();
  const auto create = reinterpret_cast<PFN_vkCreateInstance>(get(nullptr, "vkCreateInstance"));
  require(create, "vkCreateInstance");
  VkApplicationInfo application = {VK_STRUCTURE_TYPE_APPLICATION_INFO};
  application.pApplicationName = "smartmem";
  // The highest version whose functions and features are used, where the device has them.
  application.apiVersion = VK_API_VERSION_1_3;
  VkInstanceCreateInfo info = {VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
  info.pApplicationInfo = &application;
  const VkResult result = create(&info, nullptr, &handle_);
  if (result == VK_ERROR_INCOMPATIBLE_DRIVER) fail(SM_NO_VULKAN, "no Vulkan driver of 1.1 or later");
  check(result, "starting Vulkan");
  try {
    vk_ = load_instance_table(get, handle_);
  } catch (...) {
    const auto destroy =
        reinterpret_cast<PFN_vkDestroyInstance>(get(handle_, "vkDestroyInstance"));
    if (destroy != nullptr) destroy(handle_, nullptr);
    throw;
  }
}

Instance::~Instance() { vk_.vkDestroyInstance(handle_, nullptr); }

DeviceTable load_device_table(const InstanceTable& instance, VkDevice device) {
  DeviceTable table;
  const auto find = [&](const std::string& name) {
    return instance.vkGetDeviceProcAddr(device, name.c_str());
  };
#define SM_LOAD(name)                                         \
  table.name = reinterpret_cast<PFN_##name>(find(#name));     \
  require(table.name, #name);
  SM_DEVICE_FUNCTIONS(SM_LOAD)
#undef SM_LOAD
#define SM_LOAD(name)                                                                         \
  table.name = reinterpret_cast<PFN_##name>(find(#name));                                     \
  if (table.name == nullptr) table.name = reinterpret_cast<PFN_##name>(find(#name "KHR"));    \
  require(table.name, #name);
  SM_TIMELINE_FUNCTIONS(SM_LOAD)
#undef SM_LOAD
#define SM_LOAD(name)                                                                         \
  table.name = reinterpret_cast<PFN_##name>(find(#name));                                     \
  if (table.name == nullptr) table.name = reinterpret_cast<PFN_##name>(find(#name "EXT"));
  SM_OPTIONAL_FUNCTIONS(SM_LOAD)
#undef SM_LOAD
  return table;
}

void check(VkResult result, const char* doing) {
  switch (result) {
    case VK_SUCCESS:
      return;
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      fail(SM_OUT_OF_MEMORY, "out of host memory while ", doing);
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      fail(SM_OUT_OF_MEMORY, "out of device memory while ", doing);
    case VK_ERROR_DEVICE_LOST:
      fail(SM_DEVICE_LOST, "the device was lost while ", doing);
    case VK_TIMEOUT:
      fail(SM_TIMEOUT, "the device took too long while ", doing);
    default:
      fail(SM_DEVICE_FAILED, "the driver failed with VkResult ", result, " while ", doing);
  }
}

}  // namespace smartmem
