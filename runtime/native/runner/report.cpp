#include "report.h"

#include <cstdio>

#include "json_writer.h"

namespace smartmem::runner {
namespace {

std::string version_text(uint32_t version) {
  return text(version >> 22 & 0x7F, ".", version >> 12 & 0x3FF, ".", version & 0xFFF);
}

std::string milliseconds(double time_ms) {
  char digits[40];
  std::snprintf(digits, sizeof(digits), "%.2f ms", time_ms);
  return digits;
}

constexpr const char* kCopies[] = {"by the host", "on a queue of their own", "between kernels"};

// Device memory of weights and of one call, without what they are read through.
uint64_t device_bytes(const Report& report) {
  const sm_model_stats& stats = report.loads.front().stats;
  const uint64_t streamed =
      report.streaming ? report.streaming->stats.pinned_bytes + report.streaming->stats.arena_bytes
                       : 0;
  return stats.weights_bytes + stats.transient_bytes + streamed;
}

const char* status_of(const Report& report) { return report.reason.empty() ? "ok" : "wrong"; }

void write_device(JsonWriter& json, const sm_device_info& info) {
  json.member("name", info.name)
      .member("driver", info.driver)
      .member("driver_info", info.driver_info)
      .member("api", version_text(info.api_version));
}

void write_load(JsonWriter& json, const Load& load) {
  json.begin_object()
      .member("load_ms", load.milliseconds)
      .member("weights_ms", load.stats.weights_ms)
      .member("pipelines_ms", load.stats.pipelines_ms)
      .member("cache_hit", load.stats.cache_hit != 0)
      .end_object();
}

void write_warm(JsonWriter& json, const Warm& warm) {
  json.begin_object()
      .member("median", warm.median)
      .member("min", warm.min)
      .member("max", warm.max)
      .member("runs", uint64_t{warm.runs})
      .member("spread", warm.spread)
      .end_object();
}

void write_times(JsonWriter& json, const Report& report) {
  json.member("load_ms", report.loads.front().milliseconds).member("first_ms", report.first_ms);
  json.key("warm_ms");
  write_warm(json, report.warm);
  json.key("busy_ms");
  report.busy_ms > 0 ? json.value(report.busy_ms) : json.null();
  json.key("loads").begin_list();
  for (const Load& load : report.loads) write_load(json, load);
  json.end_list();
  json.key("drift").begin_list();
  for (const Window& window : report.drift) {
    json.begin_object()
        .member("at_s", window.at_s)
        .member("median_ms", window.median_ms)
        .end_object();
  }
  json.end_list();
  json.key("profile").begin_list();
  for (const auto& [name, time_us] : report.profile) {
    json.begin_object().member("name", name).member("us", time_us).end_object();
  }
  json.end_list();
}

void write_streaming(JsonWriter& json, const Streaming& streaming) {
  const sm_stream_stats& stats = streaming.stats;
  json.key("streaming")
      .begin_object()
      .member("budget_bytes", stats.budget_bytes)
      .member("smallest_budget_bytes", stats.smallest_budget_bytes)
      .member("whole_budget_bytes", stats.whole_budget_bytes)
      .member("fixed_bytes", stats.fixed_bytes)
      .member("pinned_bytes", stats.pinned_bytes)
      .member("arena_bytes", stats.arena_bytes)
      .member("staging_bytes", stats.staging_bytes)
      .member("streamed_bytes", stats.streamed_bytes)
      .member("steps", stats.steps)
      .member("copies", kCopies[stats.copies])
      .member("step_ms", streaming.step_ms)
      .member("moving_ms", streaming.moving_ms)
      .member("hidden_ms", streaming.hidden_ms)
      .end_object();
}

void write_memory(JsonWriter& json, const Report& report) {
  const sm_model_stats& stats = report.loads.front().stats;
  json.member("peak_host_bytes", report.memory.peak_bytes)
      .member("pss_bytes", report.memory.proportional_bytes)
      .member("swap_pss_bytes", report.memory.swapped_bytes)
      .member("device_bytes", device_bytes(report))
      .member("device_peak_bytes", report.device_peak_bytes)
      .key("counts")
      .begin_object()
      .member("kernels", stats.kernels)
      .member("commands", stats.commands)
      .member("barriers", stats.barriers)
      .end_object();
}

}  // namespace

std::string to_json(const Report& report) {
  JsonWriter json;
  json.begin_object()
      .member("format", "smartmem run 1")
      .member("model", report.model)
      .member("target", report.target)
      .key("device")
      .begin_object();
  write_device(json, report.device);
  json.end_object().member("status", status_of(report)).member("reason", report.reason);
  json.key("relative_l2");
  report.is_compared ? json.value(report.relative_l2) : json.null();
  json.key("tolerance");
  report.is_compared ? json.value(report.tolerance) : json.null();
  write_times(json, report);
  json.member("replays", static_cast<uint64_t>(report.replays))
      .member("differing_replays", static_cast<uint64_t>(report.differing_replays));
  if (report.streaming) write_streaming(json, *report.streaming);
  write_memory(json, report);
  json.key("outputs").begin_list();
  for (const std::string& file : report.output_files) json.value(file);
  json.end_list().end_object();
  return json.text() + "\n";
}

std::string to_text(const Report& report) {
  std::string lines = text("device   ", report.device.name, " (", report.device.driver, ", ",
                           version_text(report.device.api_version), ")\n");
  for (const Load& load : report.loads) {
    lines += text("load     ", milliseconds(load.milliseconds), ", pipelines ",
                  milliseconds(load.stats.pipelines_ms),
                  load.stats.cache_hit != 0 ? " from the cache\n" : "\n");
  }
  lines += text("first    ", milliseconds(report.first_ms), "\n");
  lines += text("warm     median ", milliseconds(report.warm.median), ", fastest ",
                milliseconds(report.warm.min), " of ", report.warm.runs, " runs, ",
                milliseconds(report.busy_ms), " on the GPU\n");
  lines += text("memory   ", report.memory.peak_bytes >> 20, " MiB at most in this process, ",
                device_bytes(report) >> 20, " MiB of the device\n");
  if (report.streaming) {
    const Streaming& streaming = *report.streaming;
    lines += text("weights  ", streaming.stats.streamed_bytes >> 20, " MiB read in each run, ",
                  kCopies[streaming.stats.copies], "; moved for ",
                  milliseconds(streaming.moving_ms), ", ", milliseconds(streaming.hidden_ms),
                  " of them while kernels ran\n");
  }
  if (report.replays > 0) {
    lines += text("replays  ", report.differing_replays, " of ", report.replays, " differ\n");
  }
  for (const Window& window : report.drift) {
    lines += text("after    ", static_cast<int>(window.at_s), " s: ",
                  milliseconds(window.median_ms), "\n");
  }
  for (const auto& [name, time_us] : report.profile) {
    lines += text("         ", milliseconds(time_us / 1e3), "  ", name, "\n");
  }
  for (const std::string& file : report.output_files) lines += text("written  ", file, "\n");
  if (report.is_compared) {
    lines += report.reason.empty() ? text("correct  relative L2 ", report.relative_l2, "\n")
                                   : text("WRONG    ", report.reason, "\n");
  }
  return lines;
}

std::string devices_json() {
  size_t count = 0;
  call(sm_devices, static_cast<sm_device_info*>(nullptr), size_t{0}, &count);
  std::vector<sm_device_info> infos(count);
  call(sm_devices, infos.data(), infos.size(), &count);
  std::string found;
  for (const sm_device_info& info : infos) {
    JsonWriter json;
    json.begin_object();
    write_device(json, info);
    json.member("is_software", info.kind == SM_DEVICE_CPU).key("offers");
    std::string row = json.text();
    try {
      const auto device = make<Device>(
          [&](sm_device** handle) { call(sm_device_open, info.uuid, handle); });
      size_t size = 0;
      call(sm_device_describe, device.get(), static_cast<char*>(nullptr), size_t{0}, &size);
      std::string offers(size, '\0');
      call(sm_device_describe, device.get(), offers.data(), offers.size(), &size);
      row += offers.c_str();
    } catch (const Error& error) {
      JsonWriter refusal;
      row += refusal.begin_object().member("refused", error.what()).end_object().text();
    }
    found += text(found.empty() ? "" : ", ", row, "}");
  }
  return text("{\"devices\": [", found, "]}\n");
}

}  // namespace smartmem::runner
