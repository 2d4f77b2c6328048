// smartmem-run: one compiled model on one device, checked and timed. Needs nothing but Vulkan.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "compare.h"
#include "file.h"
#include "options.h"
#include "report.h"

namespace smartmem::runner {
namespace {

// The first device whose name has the wish in it; without a wish, GPUs before software.
sm_device_info pick_device(const std::string& wish) {
  size_t count = 0;
  call(sm_devices, static_cast<sm_device_info*>(nullptr), size_t{0}, &count);
  std::vector<sm_device_info> infos(count);
  call(sm_devices, infos.data(), infos.size(), &count);
  std::string names;
  for (const bool takes_software : {false, true}) {
    for (const sm_device_info& info : infos) {
      const bool is_software = info.kind == SM_DEVICE_CPU;
      const bool is_named = !wish.empty() && std::strstr(info.name, wish.c_str()) != nullptr;
      if (is_named || (wish.empty() && is_software == takes_software)) return info;
      if (takes_software) names += text(names.empty() ? "" : ", ", info.name);
    }
  }
  fail(SM_NO_VULKAN, "no Vulkan device '", wish, "'; there is: ", names.empty() ? "none" : names);
}

using Describe = sm_code (*)(const sm_bundle*, size_t, sm_tensor*, sm_error*);

// The form of each input or output, without content.
std::vector<Tensor> tensors(const sm_bundle* bundle, size_t count, Describe describe) {
  std::vector<Tensor> found(count);
  for (size_t i = 0; i < count; ++i) {
    call(describe, bundle, i, &found[i].form);
    found[i].content.resize(found[i].form.size_bytes);
  }
  return found;
}

void require_count(const char* option, size_t given, const std::vector<Tensor>& wanted) {
  if (given == 0 || given == wanted.size()) return;
  std::string names;
  for (const Tensor& tensor : wanted) names += text(" ", tensor.form.name);
  fail(SM_INVALID_ARGUMENT, option, " ", given, " times, but the model has", names);
}

std::vector<Tensor> read_inputs(const sm_bundle* bundle, const Options& options) {
  auto inputs = tensors(bundle, sm_bundle_input_count(bundle), sm_bundle_input);
  require_count("--input", options.inputs.size(), inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    inputs[i].content = options.inputs.empty()
                            ? random_tensor(inputs[i].form, static_cast<uint32_t>(i))
                            : read_tensor(options.inputs[i], inputs[i].form);
  }
  return inputs;
}

void check(const Program& program, const Options& options, Report& report) {
  const std::vector<Tensor>& outputs = program.outputs();
  report.is_compared = !options.expected.empty();
  report.tolerance = options.tolerance;
  for (size_t i = 0; i < options.expected.size(); ++i) {
    const Content expected = read_tensor(options.expected[i], outputs[i].form);
    const Comparison found =
        compare(outputs[i].form, expected, outputs[i].content, options.tolerance);
    report.relative_l2 = std::max(report.relative_l2, found.relative_l2);
    if (report.reason.empty()) report.reason = found.reason;
  }
}

void make_folder(const std::string& path) {
  constexpr mode_t kMode = 0777;  // less what the user's mask takes away
  if (mkdir(path.c_str(), kMode) != 0 && errno != EEXIST) {
    fail(SM_INVALID_ARGUMENT, path, ": ", std::strerror(errno));
  }
}

void write_outputs(const Program& program, const std::string& folder, Report& report) {
  if (folder.empty()) return;
  make_folder(folder);
  for (size_t i = 0; i < program.outputs().size(); ++i) {
    const Tensor& output = program.outputs()[i];
    report.output_files.push_back(text(folder, "/", i, ".npy"));
    write_tensor(report.output_files.back(), output.form, output.content);
  }
}

Report measure(const Options& options) {
  const auto bundle = make<Bundle>(
      [&](sm_bundle** handle) { call(sm_bundle_open, options.folder.c_str(), handle); });
  const std::vector<Tensor> inputs = read_inputs(bundle.get(), options);
  const auto outputs =
      tensors(bundle.get(), sm_bundle_output_count(bundle.get()), sm_bundle_output);
  require_count("--expect", options.expected.size(), outputs);
  Report report;
  report.model = options.folder;
  report.target = options.target.empty() ? sm_bundle_target(bundle.get(), 0) : options.target;
  report.device = pick_device(options.device);
  const auto device = make<Device>(
      [&](sm_device** handle) { call(sm_device_open, report.device.uuid, handle); });

  const auto load = [&] {
    return Program(bundle.get(), device.get(), options, inputs, outputs);
  };
  // Without and, where pipelines are kept, with them.
  if (!options.cache_folder.empty()) {
    make_folder(options.cache_folder);
    report.loads.push_back(load().load());
  }
  Program program = load();
  report.loads.push_back(program.load());
  report.first_ms = program.run();
  check(program, options, report);
  write_outputs(program, options.output_folder, report);
  std::vector<double> samples;
  for (int i = 0; i < options.runs; ++i) samples.push_back(program.run());
  report.warm = warm_of(samples);
  report.busy_ms = program.gpu_ms();
  report.streaming = program.streaming();
  report.replays = options.replays;
  report.differing_replays = program.differing_replays(options.replays);
  if (report.differing_replays > 0 && report.reason.empty()) {
    report.reason = text(report.differing_replays, " of ", report.replays,
                         " replays gave other bits");
  }
  report.drift = program.drift(options.drift_s);
  if (options.profiles) report.profile = program.profile();
  report.memory = read_memory();
  uint64_t now_bytes = 0;
  sm_device_get_memory(device.get(), &now_bytes, &report.device_peak_bytes);
  return report;
}

void write_text(const std::string& path, const std::string& content) {
  const Bytes bytes{reinterpret_cast<const uint8_t*>(content.data()), content.size()};
  if (path == "-") {
    std::fputs(content.c_str(), stdout);
  } else if (!replace_file(path, bytes)) {
    fail(SM_INVALID_ARGUMENT, "cannot write ", path);
  }
}

int run(const Options& options) {
  if (options.shows_help) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (options.lists_devices) {
    write_text("-", devices_json());
    return 0;
  }
  const Report report = measure(options);
  if (options.json != "-") std::fputs(to_text(report).c_str(), stdout);
  if (!options.json.empty()) write_text(options.json, to_json(report));
  return report.reason.empty() ? 0 : kMismatchExit;
}

}  // namespace
}  // namespace smartmem::runner

int main(int count, char** arguments) {
  namespace runner = smartmem::runner;
  try {
    return runner::run(runner::parse_options(count, arguments));
  } catch (const smartmem::Error& error) {
    std::fprintf(stderr, "smartmem-run: %s\n", error.what());
    const bool is_users = error.code() == SM_INVALID_ARGUMENT || error.code() == SM_BAD_FILE;
    return is_users ? runner::kUserExit : runner::kDeviceExit;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "smartmem-run: %s\n", error.what());
    return runner::kDeviceExit;
  }
}
