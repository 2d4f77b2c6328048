// Content for device buffers and images, through one mapped buffer.
#pragma once

#include <functional>
#include <vector>

#include "device.h"
#include "images.h"

namespace smartmem {

// Where content comes from: `read` writes so many bytes of it, from an offset on.
struct Source {
  uint64_t size;
  std::function<void(uint64_t, uint8_t*, size_t)> read;
};

class Uploader {
 public:
  // `most`: all that will be added; with less the mapped buffer is smaller. `row`: the longest row
  // of an image.
  Uploader(const DevicePtr& device, uint64_t most, uint64_t row);

  void add(const Source& source, VkBuffer target, uint64_t offset);
  // All of an image, row after row.
  void add(const Source& source, const Image& target);
  // Sends what was added, and waits; it is there for whatever is submitted later.
  void flush();

 private:
  struct BufferCopy {
    VkBuffer target;
    VkBufferCopy region;
  };
  struct ImageCopy {
    VkImage target;
    VkBufferImageCopy region;
    bool is_first;
    bool is_last;
  };

  uint64_t room() const { return staging_.size() - used_; }
  void record(VkCommandBuffer commands) const;

  DevicePtr device_;
  CommandPool pool_;
  Timeline timeline_;
  Buffer staging_;
  std::vector<BufferCopy> buffer_copies_;
  std::vector<ImageCopy> image_copies_;
  uint64_t used_ = 0;
};

}  // namespace smartmem
