#include "spirv.h"

#include <algorithm>
#include <map>

#include "formats.h"
#include "reader.h"

namespace smartmem {
namespace {

constexpr uint32_t kMagic = 0x07230203;
constexpr uint64_t kHeaderWords = 5;

// Numbers of the SPIR-V specification.
enum Opcode : uint32_t {
  kOpEntryPoint = 15,
  kOpExecutionMode = 16,
  kOpCapability = 17,
  kOpTypeImage = 25,
  kOpTypePointer = 32,
  kOpVariable = 59,
  kOpDecorate = 71
};
constexpr uint32_t kGlCompute = 5;
constexpr uint32_t kLocalSize = 17;
constexpr uint32_t kDim2D = 1;
constexpr uint32_t kDimBuffer = 5;
constexpr uint32_t kSampled = 1;
constexpr uint32_t kStorage = 2;
constexpr uint32_t kUniformConstant = 0;
constexpr uint32_t kUniform = 2;
constexpr uint32_t kStorageBuffer = 12;
constexpr uint32_t kBinding = 33;
constexpr uint32_t kDescriptorSet = 34;

class Module {
 public:
  Module(Bytes code, const std::string& entry, const std::string& name)
      : file_(code, name), entry_(entry) {
    if (code.size % 4 != 0 || word(0) != kMagic) fail(SM_BAD_FILE, name, ": not SPIR-V");
    const uint64_t words = code.size / 4;
    for (uint64_t place = kHeaderWords; place < words;) {
      const uint32_t length = word(place) >> 16;
      if (length == 0 || !is_within(place, length, words)) {
        fail(SM_BAD_FILE, name, ": an instruction is cut short");
      }
      visit(place, length);
      place += length;
    }
    if (function_ == 0) fail(SM_BAD_FILE, name, ": has no compute shader '", entry, "'");
  }

  Shader shader() {
    for (const auto& [variable, kind] : variables_) {
      if (sets_[variable] != 0) fail(SM_BAD_FILE, file_.name(), ": binds more than one set");
      const auto [place, is_new] = shader_.bindings.emplace(bindings_[variable], kind);
      // Several views of one buffer are one binding.
      if (!is_new && place->second != kind) fail(SM_BAD_FILE, file_.name(), ": mixed bindings");
      if (const auto format = written_.find(variable); format != written_.end()) {
        const auto first = shader_.formats.emplace(place->first, format->second).first;
        if (first->second != format->second) fail(SM_BAD_FILE, file_.name(), ": mixed formats");
      }
    }
    shader_.local_size = local_sizes_.count(function_) ? local_sizes_[function_]
                                                       : std::array<uint32_t, 3>{1, 1, 1};
    return shader_;
  }

 private:
  uint32_t word(uint64_t place) const { return file_.read<uint32_t>(4 * place); }

  void visit(uint64_t place, uint32_t length) {
    const auto operand = [&](uint32_t i) {
      if (i >= length) fail(SM_BAD_FILE, file_.name(), ": an instruction lacks operands");
      return word(place + i);
    };
    switch (word(place) & 0xFFFF) {
      case kOpCapability:
        shader_.capabilities.push_back(operand(1));
        break;
      case kOpEntryPoint:
        if (operand(1) == kGlCompute && operand(3) != 0 && is_name(place + 3, length - 3)) {
          function_ = operand(2);
        }
        break;
      case kOpTypeImage:
        if (operand(4) != 0 || operand(5) != 0 || operand(6) != 0) break;
        visit_image(operand(1), operand(3), operand(7), operand(8));
        break;
      case kOpTypePointer:
        pointees_[operand(1)] = operand(3);
        break;
      case kOpExecutionMode:
        if (operand(2) == kLocalSize) {
          local_sizes_[operand(1)] = {operand(3), operand(4), operand(5)};
        }
        break;
      case kOpDecorate:
        if (operand(2) == kBinding) bindings_[operand(1)] = operand(3);
        if (operand(2) == kDescriptorSet) sets_[operand(1)] = operand(3);
        break;
      case kOpVariable:
        visit_variable(operand(1), operand(2), operand(3));
        break;
      default:
        break;
    }
  }

  // Of one sample and one layer, and without depth; what is written states its format.
  void visit_image(uint32_t type, uint32_t dim, uint32_t use, uint32_t format) {
    if (use == kSampled && dim == kDimBuffer) images_[type] = BindingKind::kTexels;
    if (use == kSampled && dim == kDim2D) images_[type] = BindingKind::kImage;
    if (use == kStorage && dim == kDim2D && format_of_spirv(format) != VK_FORMAT_UNDEFINED) {
      images_[type] = BindingKind::kWrittenImage;
      formats_[type] = format_of_spirv(format);
    }
  }

  void visit_variable(uint32_t type, uint32_t variable, uint32_t storage) {
    const auto image = images_.find(pointees_[type]);
    const bool is_image = storage == kUniformConstant && image != images_.end();
    if (storage == kUniform || (storage == kUniformConstant && !is_image)) {
      fail(SM_BAD_FILE, file_.name(), ": binds what is neither buffer nor image");
    }
    if (is_image) variables_[variable] = image->second;
    if (is_image && image->second == BindingKind::kWrittenImage) {
      written_[variable] = formats_[image->first];
    }
    if (storage == kStorageBuffer) variables_[variable] = BindingKind::kBuffer;
  }

  bool is_name(uint64_t place, uint32_t words) const {
    const Bytes bytes = file_.part(4 * place, 4 * uint64_t{words});
    const auto* text = reinterpret_cast<const char*>(bytes.data);
    return entry_.size() < bytes.size && std::equal(entry_.begin(), entry_.end(), text) &&
           text[entry_.size()] == '\0';
  }

  Reader file_;
  const std::string& entry_;
  Shader shader_;
  uint32_t function_ = 0;
  std::map<uint32_t, BindingKind> images_;  // by type
  std::map<uint32_t, uint32_t> formats_;     // by type, of those that are written
  std::map<uint32_t, uint32_t> written_;     // formats by variable
  std::map<uint32_t, uint32_t> pointees_;
  std::map<uint32_t, BindingKind> variables_;
  std::map<uint32_t, uint32_t> bindings_;
  std::map<uint32_t, uint32_t> sets_;
  std::map<uint32_t, std::array<uint32_t, 3>> local_sizes_;
};

}  // namespace

Shader read_shader(Bytes code, const std::string& entry, const std::string& name) {
  return Module(code, entry, name).shader();
}

}  // namespace smartmem
