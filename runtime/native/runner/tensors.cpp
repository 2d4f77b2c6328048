#include "tensors.h"

#include <cstdio>
#include <cstring>
#include <limits>
#include <random>

#include "floats.h"
#include "reader.h"

namespace smartmem::runner {
namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicBytes = sizeof(kMagic) - 1;

// numpy's code of a type that kernels see.
const char* code_of(const std::string& dtype) {
  if (dtype == "float32") return "<f4";
  if (dtype == "float16") return "<f2";
  if (dtype == "bfloat16") return "<u2";
  if (dtype == "int32") return "<i4";
  if (dtype == "int8") return "|i1";
  if (dtype == "uint8") return "|u1";
  return "|b1";
}

struct Array {
  std::string code;
  std::vector<uint64_t> shape;
  Bytes data;
};

// The header is a Python dictionary, always written in one way:
// {'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }
class HeaderParser {
 public:
  HeaderParser(Bytes text, const std::string& path)
      : at_(reinterpret_cast<const char*>(text.data)), end_(at_ + text.size), path_(path) {}

  Array array() {
    Array found;
    need("{'descr': '");
    while (at_ != end_ && *at_ != '\'') found.code.push_back(*at_++);
    need("', 'fortran_order': False, 'shape': (");
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') {
      found.shape.push_back(number());
      if (at_ != end_ && *at_ == ',') ++at_;
      if (at_ != end_ && *at_ == ' ') ++at_;
    }
    need(")");
    return found;
  }

 private:
  void need(const char* wanted) {
    const size_t length = std::strlen(wanted);
    if (static_cast<size_t>(end_ - at_) < length || std::memcmp(at_, wanted, length) != 0) {
      fail(SM_BAD_FILE, path_, ": not a row-major array of numbers");
    }
    at_ += length;
  }

  uint64_t number() {
    constexpr uint64_t kMost = uint64_t{1} << 40;
    uint64_t value = 0;
    for (; at_ != end_ && *at_ >= '0' && *at_ <= '9'; ++at_) {
      value = 10 * value + static_cast<uint64_t>(*at_ - '0');
      if (value > kMost) fail(SM_BAD_FILE, path_, ": a dimension is too large");
    }
    return value;
  }

  const char* at_;
  const char* end_;
  const std::string& path_;
};

Array parse_npy(const Reader& file) {
  const uint8_t major = file.read<uint8_t>(kMagicBytes);
  const uint64_t start = kMagicBytes + (major == 1 ? 4 : 6);
  const uint64_t length = major == 1 ? file.read<uint16_t>(kMagicBytes + 2)
                                     : file.read<uint32_t>(kMagicBytes + 2);
  Array array = HeaderParser(file.part(start, length), file.name()).array();
  array.data = file.part(start + length, file.size() - start - length);
  return array;
}

template <class Source>
Content narrowed(Bytes data, const std::string& path) {
  Content content;
  for (size_t place = 0; place + sizeof(Source) <= data.size; place += sizeof(Source)) {
    Source wide;
    std::memcpy(&wide, data.data + place, sizeof(wide));
    const auto value = static_cast<int32_t>(wide);
    if (value != wide) fail(SM_BAD_FILE, path, ": ", wide, " does not fit in 32 bits");
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    content.insert(content.end(), bytes, bytes + sizeof(value));
  }
  return content;
}

std::string shape_text(const uint64_t* shape, size_t rank) {
  std::string found = "[";
  for (size_t i = 0; i < rank; ++i) found += text(i > 0 ? ", " : "", shape[i]);
  return found + "]";
}

Content converted(const Array& array, const sm_tensor& form, const std::string& path) {
  if (array.shape != std::vector<uint64_t>(form.shape, form.shape + form.rank)) {
    fail(SM_BAD_FILE, path, ": has the shape ", shape_text(array.shape.data(), array.shape.size()),
         ", but ", form.name, " has ", shape_text(form.shape, form.rank));
  }
  const std::string dtype = form.dtype;
  if (array.code == code_of(dtype)) return {array.data.data, array.data.data + array.data.size};
  if (dtype == "int32" && array.code == "<i8") return narrowed<int64_t>(array.data, path);
  if (dtype == "int32" && array.code == "<i2") return narrowed<int16_t>(array.data, path);
  fail(SM_BAD_FILE, path, ": numbers of type ", array.code, ", but ", form.name, " has ", dtype);
}

}  // namespace

Content read_tensor(const std::string& path, const sm_tensor& form) {
  const MappedFile file(path);
  const Bytes all = file.bytes();
  const bool is_npy = all.size > kMagicBytes && std::memcmp(all.data, kMagic, kMagicBytes) == 0;
  Content content = is_npy ? converted(parse_npy(Reader(all, path)), form, path)
                           : Content(all.data, all.data + all.size);
  if (content.size() != form.size_bytes) {
    fail(SM_BAD_FILE, path, ": ", content.size(), " bytes, but ", form.name, " has ",
         form.size_bytes);
  }
  return content;
}

Content random_tensor(const sm_tensor& form, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Content content(form.size_bytes);
  const FloatKind kind = float_kind(form.dtype);
  const size_t width = kind == FloatKind::kNone ? (form.dtype == std::string("int32") ? 4 : 1)
                                                : float_bytes(kind);
  for (size_t place = 0; place < content.size(); place += width) {
    if (kind == FloatKind::kNone) {
      content[place] = static_cast<uint8_t>(generator() >> 31);
    } else {
      store_float(kind, normal(generator), content.data() + place);
    }
  }
  return content;
}

void write_tensor(const std::string& path, const sm_tensor& form, const Content& content) {
  constexpr size_t kAlignment = 64;
  constexpr size_t kStart = kMagicBytes + 4;
  std::string header = text("{'descr': '", code_of(form.dtype),
                            "', 'fortran_order': False, 'shape': (");
  for (size_t i = 0; i < form.rank; ++i) header += text(form.shape[i], i + 1 < form.rank ? ", " : "");
  header += form.rank == 1 ? ",), }" : "), }";
  header.append(kAlignment - 1 - (kStart + header.size()) % kAlignment, ' ');
  header += '\n';
  const auto length = static_cast<uint16_t>(header.size());
  std::string all(kMagic, kMagicBytes);
  all += {'\x01', '\x00', static_cast<char>(length & 0xFF), static_cast<char>(length >> 8)};
  all += header;
  all.append(reinterpret_cast<const char*>(content.data()), content.size());
  if (!replace_file(path, {reinterpret_cast<const uint8_t*>(all.data()), all.size()})) {
    fail(SM_INVALID_ARGUMENT, "cannot write ", path);
  }
}

}  // namespace smartmem::runner
