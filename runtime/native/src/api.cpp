// The C border of devices, models and sessions; bundles have theirs in bundle_api.cpp.
#include <algorithm>
#include <optional>

#include "handles.h"

using smartmem::Bytes;
using smartmem::Device;
using smartmem::fail;
using smartmem::guarded;
using smartmem::Model;
using smartmem::require;
using smartmem::Session;
using smartmem::Weights;

uint32_t sm_api_version(void) { return SM_API_VERSION; }

void sm_set_vulkan(void* get_instance_proc_addr) {
  smartmem::set_vulkan(reinterpret_cast<PFN_vkGetInstanceProcAddr>(get_instance_proc_addr));
}

void sm_set_reader(sm_reader reader, void* context) { smartmem::set_reader(reader, context); }

sm_code sm_devices(sm_device_info* infos, size_t capacity, size_t* count, sm_error* error) {
  return guarded(error, [&] {
    require(count, "count");
    const std::vector<sm_device_info> found = smartmem::list_devices();
    *count = found.size();
    if (infos != nullptr) {
      std::copy_n(found.begin(), std::min(capacity, found.size()), infos);
    }
  });
}

sm_code sm_device_open(const uint8_t uuid[16], sm_device** device, sm_error* error) {
  return guarded(error, [&] {
    require(uuid, "uuid");
    require(device, "device");
    smartmem::Uuid identity;
    std::copy_n(uuid, identity.size(), identity.begin());
    *device = new sm_device{std::make_shared<const Device>(identity)};
  });
}

void sm_device_close(sm_device* device) { delete device; }

void sm_device_get_memory(const sm_device* device, uint64_t* now_bytes, uint64_t* peak_bytes) {
  *now_bytes = device->device->allocated_bytes();
  *peak_bytes = device->device->peak_bytes();
}

namespace {

sm_code load_model(sm_device* device, const char* schedule, const char* kernels_folder,
                   const char* weights, const char* cache_folder, Weights mode, sm_model** model,
                   sm_error* error) {
  return guarded(error, [&] {
    require(device, "device");
    require(schedule, "schedule");
    require(kernels_folder, "kernels_folder");
    require(weights, "weights");
    require(model, "model");
    *model = new sm_model{std::make_shared<const Model>(device->device, schedule, kernels_folder,
                                                        weights, cache_folder ? cache_folder : "",
                                                        mode)};
  });
}

sm_code create_session(sm_model* model, std::optional<uint64_t> budget_bytes, sm_session** session,
                       sm_error* error) {
  return guarded(error, [&] {
    require(model, "model");
    require(session, "session");
    *session = new sm_session{std::make_unique<Session>(model->model, budget_bytes)};
  });
}

}  // namespace

sm_code sm_model_load(sm_device* device, const char* schedule, const char* kernels_folder,
                      const char* weights, const char* cache_folder, sm_model** model,
                      sm_error* error) {
  return load_model(device, schedule, kernels_folder, weights, cache_folder, Weights::kLoaded,
                    model, error);
}

sm_code sm_model_stream(sm_device* device, const char* schedule, const char* kernels_folder,
                        const char* weights, const char* cache_folder, sm_model** model,
                        sm_error* error) {
  return load_model(device, schedule, kernels_folder, weights, cache_folder, Weights::kStreamed,
                    model, error);
}

void sm_model_get_budgets(const sm_model* model, uint64_t* smallest_bytes, uint64_t* whole_bytes) {
  const smartmem::StreamSet* stream = model->model->stream();
  *smallest_bytes = stream == nullptr ? 0 : smartmem::smallest_budget(stream->problem);
  *whole_bytes = stream == nullptr ? 0 : smartmem::whole_budget(stream->problem);
}

void sm_model_release(sm_model* model) { delete model; }

size_t sm_model_input_count(const sm_model* model) {
  return model->model->schedule().inputs.size();
}

size_t sm_model_output_count(const sm_model* model) {
  return model->model->schedule().outputs.size();
}

size_t sm_model_input_bytes(const sm_model* model, size_t index) {
  const auto& inputs = model->model->schedule().inputs;
  return index < inputs.size() ? inputs[index].length : 0;
}

size_t sm_model_output_bytes(const sm_model* model, size_t index) {
  const auto& outputs = model->model->schedule().outputs;
  return index < outputs.size() ? outputs[index].length : 0;
}

uint64_t sm_model_get_compiled_budget(const sm_model* model) {
  return model->model->compiled_budget_bytes();
}

sm_code sm_model_choose_budget(const sm_model* model, double slowdown, uint64_t* budget_bytes,
                               sm_error* error) {
  return guarded(error, [&] {
    require(model, "model");
    require(budget_bytes, "budget_bytes");
    *budget_bytes = model->model->choose_budget(slowdown);
  });
}

void sm_model_get_stats(const sm_model* model, sm_model_stats* stats) {
  *stats = model->model->stats();
}

const char* sm_model_command_name(const sm_model* model, size_t index) {
  const smartmem::Schedule& schedule = model->model->schedule();
  if (index >= schedule.commands.size()) return nullptr;
  const smartmem::Command& command = schedule.commands[index];
  if (command.kind == smartmem::CommandKind::kFill) return "fill";
  if (command.kind == smartmem::CommandKind::kCopy) return "copy";
  return schedule.kernels[command.kernel].entry.c_str();
}

sm_code sm_session_create(sm_model* model, sm_session** session, sm_error* error) {
  return create_session(model, std::nullopt, session, error);
}

sm_code sm_session_create_within(sm_model* model, uint64_t budget_bytes, sm_session** session,
                                 sm_error* error) {
  return create_session(model, budget_bytes, session, error);
}

sm_code sm_session_set_budget(sm_session* session, uint64_t budget_bytes, sm_error* error) {
  return guarded(error, [&] {
    require(session, "session");
    session->session->set_budget(budget_bytes);
  });
}

sm_code sm_session_set_read_limit(sm_session* session, uint64_t nanoseconds, sm_error* error) {
  return guarded(error, [&] {
    require(session, "session");
    session->session->set_read_limit(nanoseconds);
  });
}

void sm_session_cancel(sm_session* session) { session->session->cancel(); }

sm_code sm_session_get_stream(sm_session* session, sm_stream_stats* stats, sm_error* error) {
  return guarded(error, [&] {
    require(session, "session");
    require(stats, "stats");
    *stats = session->session->stream_stats();
  });
}

sm_code sm_session_get_intervals(sm_session* session, sm_interval* intervals, size_t capacity,
                                 size_t* count, sm_error* error) {
  return guarded(error, [&] {
    require(session, "session");
    require(count, "count");
    const std::vector<sm_interval> found = session->session->intervals();
    *count = found.size();
    if (intervals != nullptr) {
      std::copy_n(found.begin(), std::min(capacity, found.size()), intervals);
    }
  });
}

void sm_session_release(sm_session* session) { delete session; }

sm_code sm_session_run(sm_session* session, const void* const* inputs, void* const* outputs,
                       sm_wait wait, sm_error* error) {
  return guarded(error, [&] {
    require(session, "session");
    const smartmem::Schedule& schedule = session->session->model().schedule();
    if (!schedule.inputs.empty()) require(inputs, "inputs");
    if (!schedule.outputs.empty()) require(outputs, "outputs");
    for (size_t i = 0; i < schedule.outputs.size(); ++i) require(outputs[i], "an output");
    session->session->run(inputs, outputs, wait);
  });
}

sm_code sm_session_set_input(sm_session* session, size_t index, const void* data,
                             size_t size_bytes, sm_error* error) {
  return guarded(error, [&] {
    require(session, "session");
    session->session->set_input(index, Bytes{static_cast<const uint8_t*>(data), size_bytes});
  });
}

sm_code sm_session_submit(sm_session* session, sm_error* error) {
  return guarded(error, [&] {
    require(session, "session");
    session->session->submit();
  });
}

sm_code sm_session_wait(sm_session* session, sm_wait wait, uint64_t timeout_ns,
                        sm_error* error) {
  return guarded(error, [&] {
    require(session, "session");
    session->session->wait(wait, timeout_ns);
  });
}

sm_code sm_session_get_output(sm_session* session, size_t index, void* data, size_t size_bytes,
                              sm_error* error) {
  return guarded(error, [&] {
    require(session, "session");
    require(data, "data");
    session->session->get_output(index, data, size_bytes);
  });
}

void* sm_session_input_memory(sm_session* session, size_t index) {
  return session->session->input_memory(index);
}

const void* sm_session_output_memory(sm_session* session, size_t index) {
  return session->session->output_memory(index);
}

sm_code sm_session_get_times(sm_session* session, sm_times* times, sm_error* error) {
  return guarded(error, [&] {
    require(session, "session");
    require(times, "times");
    *times = session->session->times();
  });
}

sm_code sm_session_profile(sm_session* session, double* times_ns, size_t count, sm_error* error) {
  return guarded(error, [&] {
    require(session, "session");
    require(times_ns, "times_ns");
    if (count != session->session->model().schedule().commands.size()) {
      fail(SM_INVALID_ARGUMENT, "count is not the number of commands");
    }
    const std::vector<double> times = session->session->profile();
    std::copy(times.begin(), times.end(), times_ns);
  });
}
