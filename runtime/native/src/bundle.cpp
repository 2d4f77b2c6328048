#include "bundle.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "json.h"

namespace smartmem {
namespace {

constexpr uint64_t kFormatVersion = 3;
constexpr const char* kManifest = "manifest.json";
constexpr const char* kWeights = "weights.irpa";

size_t element_bytes(const std::string& dtype) {
  if (dtype == "float32" || dtype == "int32") return 4;
  if (dtype == "float16" || dtype == "bfloat16") return 2;
  if (dtype == "int8" || dtype == "uint8" || dtype == "bool") return 1;
  fail(SM_BAD_FILE, "a tensor of type '", dtype, "'");
}

TensorSpec read_tensor(const Json& item) {
  TensorSpec spec{item.text("name"), item.text("dtype"), {}, 0};
  uint64_t size = element_bytes(spec.dtype);
  for (const Json& dim : item.list("shape")) {
    spec.shape.push_back(dim.as_integer());
    if (spec.shape.back() > 0 && size > std::numeric_limits<size_t>::max() / spec.shape.back()) {
      fail(SM_BAD_FILE, "the tensor '", spec.name, "' is too large");
    }
    size *= spec.shape.back();
  }
  spec.size_bytes = static_cast<size_t>(size);
  return spec;
}

std::vector<TensorSpec> read_tensors(const Json::List& items) {
  std::vector<TensorSpec> specs;
  for (const Json& item : items) {
    specs.push_back(read_tensor(item));
    if (specs.back().size_bytes == 0) specs.pop_back();
  }
  return specs;
}

uint8_t hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
  fail(SM_BAD_FILE, "a hash that is not hexadecimal");
}

Digest read_digest(const std::string& text) {
  Digest digest;
  if (text.size() != 2 * digest.size()) fail(SM_BAD_FILE, "a hash of another length");
  for (size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<uint8_t>(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
  }
  return digest;
}

void check_digest(const std::string& path, const Digest& expected) {
  if (sha256(MappedFile(path).bytes()) == expected) return;
  fail(SM_BAD_FILE, path, ": its hash differs from the manifest's; the file is damaged");
}

// A name that cannot lead out of the folder.
bool is_plain(const std::string& name) {
  const auto is_fit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           std::strchr("_.+-", c) != nullptr;
  };
  return !name.empty() && std::strchr("_.+-", name[0]) == nullptr &&
         std::all_of(name.begin(), name.end(), is_fit);
}

// Targets without a schedule are IREE's to run.
std::vector<TargetEntry> read_targets(const Json::Object& entries) {
  std::vector<TargetEntry> targets;
  for (const auto& [name, entry] : entries) {
    const std::string schedule = entry.text_or("schedule", "");
    if (schedule.empty()) continue;
    if (!is_plain(name) || schedule != text("targets/", name, "/schedule")) {
      fail(SM_BAD_FILE, "the target '", name, "' with the schedule '", schedule, "'");
    }
    const Json* budget = entry.find("budget_bytes");
    const std::string stream = entry.text_or("stream_sha256", "");
    targets.push_back({name, read_digest(entry.text("schedule_sha256")),
                       budget == nullptr || budget->is_null() ? 0 : budget->as_integer(),
                       stream.empty() ? std::nullopt : std::optional(read_digest(stream))});
  }
  return targets;
}

// An input that the model does not read has no bytes.
void check_ports(const std::vector<Port>& ports, const std::vector<TensorSpec>& specs,
                 const char* what) {
  bool agree = ports.size() == specs.size();
  for (size_t i = 0; agree && i < specs.size(); ++i) {
    const bool is_unread = ports[i].resource == kNoResource;
    agree = is_unread || ports[i].length == specs[i].size_bytes;
  }
  if (!agree) fail(SM_BAD_FILE, "the schedule's ", what, " are not the manifest's");
}

}  // namespace

Bundle::Bundle(const std::string& folder) : folder_(folder) {
  const std::string path = text(folder, "/", kManifest);
  const MappedFile file(path);
  try {
    const Json manifest = Json::parse(file.bytes());
    const uint64_t version = manifest.integer("format_version");
    if (version != kFormatVersion) {
      fail(SM_BAD_FILE, "format version ", version, ", but this library reads ", kFormatVersion);
    }
    inputs_ = read_tensors(manifest.list("inputs"));
    outputs_ = read_tensors(manifest.list("outputs"));
    targets_ = read_targets(manifest.object("targets").members());
    const Json& weights = manifest.object("weights");
    if (weights.text("file") != kWeights) fail(SM_BAD_FILE, "weights in another file");
    weights_bytes_ = weights.integer("bytes");
  } catch (const Error& error) {
    fail(error.code(), path, ": ", error.what());
  }
}

std::shared_ptr<const Model> Bundle::load(DevicePtr device, const std::string& name,
                                          const std::string& cache_folder,
                                          Weights mode) const {
  const TargetEntry& entry = target(name);
  const std::string folder = text(folder_, "/targets/", entry.name);
  const std::string schedule = folder + "/schedule";
  const std::string weights = text(folder_, "/", kWeights);
  check_digest(schedule, entry.schedule_sha256);
  if (entry.stream_sha256) check_digest(folder + "/" + kHintsFile, *entry.stream_sha256);
  const uint64_t size = OpenFile(weights).size();
  if (size != weights_bytes_) {
    fail(SM_BAD_FILE, weights, ": ", size, " bytes, but ", weights_bytes_, " were written");
  }
  auto model = std::make_shared<const Model>(std::move(device), schedule, folder + "/kernels",
                                             weights, cache_folder, mode);
  check_ports(model->schedule().inputs, inputs_, "inputs");
  check_ports(model->schedule().outputs, outputs_, "outputs");
  return model;
}

const TargetEntry& Bundle::target(const std::string& name) const {
  if (name.empty() && targets_.size() == 1) return targets_.front();
  std::string known;
  for (const TargetEntry& entry : targets_) {
    if (entry.name == name) return entry;
    known += text(known.empty() ? "" : ", ", entry.name);
  }
  const std::string what =
      name.empty() ? "name one of its targets" : text("no target '", name, "'");
  fail(SM_INVALID_ARGUMENT, folder_, ": ", what, "; it has for this executor: ",
       known.empty() ? "none" : known);
}

}  // namespace smartmem
