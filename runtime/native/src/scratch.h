// A session's scratch memory: one arena, in which buffers and images lie where the layout says.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "commands.h"
#include "images.h"
#include "schedule.h"

namespace smartmem {

class Scratch {
 public:
  // `row`: the commands as they run. Throws SM_OUT_OF_MEMORY, SM_UNSUPPORTED where images and
  // buffers cannot lie in one memory.
  Scratch(const DevicePtr& device, const Schedule& schedule, const Layout& layout, const Row& row);

  // NULL where there is none.
  VkBuffer buffer() const { return buffer_ == nullptr ? VK_NULL_HANDLE : buffer_->handle(); }
  // Where a resource that is an image lies; NULL for any other.
  const Spot* spot(uint32_t resource) const;
  // The images that are first used by the commands at a place in the row and, in its wave, after it
  // and before `end`.
  std::vector<VkImage> begun(uint32_t place, uint32_t end) const;

 private:
  const Row& row_;
  std::unique_ptr<Memory> memory_;
  std::unique_ptr<Buffer> buffer_;
  std::map<uint32_t, std::unique_ptr<Image>> images_;  // by resource
  std::map<uint32_t, Spot> spots_;                     // by resource
  std::vector<std::vector<VkImage>> begun_;            // by place in the row
};

}  // namespace smartmem
