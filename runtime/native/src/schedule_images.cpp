// The images of a schedule: weights that are filled when the model is loaded, and scratch memory that
// kernels write texels to.
#include <map>

#include "error.h"
#include "schedule.h"

namespace smartmem {
namespace {

class ImageCheck {
 public:
  ImageCheck(const Schedule& schedule, const std::string& name)
      : schedule_(schedule), name_(name) {}

  void run() {
    for (const Command& command : schedule_.setup) find(command);
    for (const Command& command : schedule_.commands) find(command);
    for (const auto& [resource, binding] : images_) {
      if (kind_of(resource) == ResourceKind::kConstant) check_weight(resource);
    }
    for (const Command& command : schedule_.setup) check_setup(command);
    for (const Command& command : schedule_.commands) check_call(command);
    for (const Port& port : schedule_.outputs) {
      require(!is_scratch_image(port.resource), "a result that is an image");
    }
  }

 private:
  void require(bool condition, const char* what) const {
    if (!condition) fail(SM_BAD_FILE, name_, ": ", what);
  }

  ResourceKind kind_of(uint32_t resource) const { return schedule_.resources[resource].kind; }

  bool is_scratch_image(uint32_t resource) const {
    const auto found = images_.find(resource);
    return found != images_.end() && kind_of(resource) == ResourceKind::kTransient;
  }

  // What a use is bound as; NULL where no kernel uses it.
  const Binding* binding_of(const Command& command, size_t use) const {
    if (command.kind != CommandKind::kDispatch) return nullptr;
    return &schedule_.kernels[command.kernel].bindings[use];
  }

  void find(const Command& command) {
    for (size_t i = 0; i < command.uses.size(); ++i) {
      const Use& use = command.uses[i];
      const Binding* binding = binding_of(command, i);
      if (binding == nullptr || !is_image(binding->kind)) continue;
      const ResourceKind kind = kind_of(use.resource);
      require(kind == ResourceKind::kConstant || kind == ResourceKind::kTransient,
              "an image that is an input or an output");
      require(kind == ResourceKind::kTransient || binding->kind == BindingKind::kImage,
              "a weight that is written as an image");
      require(use.offset == 0 && use.length == schedule_.resources[use.resource].size,
              "an image that is a part of a resource");
      const Binding& first = *images_.emplace(use.resource, binding).first->second;
      require(first.width == binding->width && first.format == binding->format,
              "an image of two kinds");
    }
  }

  // Filled when the model is loaded, from one place.
  void check_weight(uint32_t resource) const {
    size_t uploads = 0;
    for (const Upload& upload : schedule_.uploads) {
      if (upload.resource != resource) continue;
      uploads += 1;
      require(upload.length == schedule_.resources[resource].size,
              "an image that no one upload fills");
    }
    require(uploads == 1, "an image that no one upload fills");
  }

  void check_setup(const Command& command) const {
    for (const Use& use : command.uses) {
      require(!is_scratch_image(use.resource), "an image that set-up computes");
      require(!use.writes || images_.count(use.resource) == 0, "an image that set-up writes");
    }
  }

  // Scratch memory that is an image is nothing else.
  void check_call(const Command& command) const {
    for (size_t i = 0; i < command.uses.size(); ++i) {
      if (!is_scratch_image(command.uses[i].resource)) continue;
      const Binding* binding = binding_of(command, i);
      require(binding != nullptr && is_image(binding->kind), "an image that is used as a buffer");
    }
  }

  const Schedule& schedule_;
  const std::string& name_;
  std::map<uint32_t, const Binding*> images_;  // by resource: how it is bound first
};

}  // namespace

void check_images(const Schedule& schedule, const std::string& name) {
  ImageCheck(schedule, name).run();
}

}  // namespace smartmem
