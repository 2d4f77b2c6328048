// What was measured, as text and as JSON.
#pragma once

#include <string>
#include <vector>

#include "measure.h"
#include "memory.h"

namespace smartmem::runner {

struct Report {
  std::string model;
  std::string target;
  sm_device_info device = {};
  std::string reason;  // why the outputs are wrong, empty where they are not
  bool is_compared = false;
  double relative_l2 = 0;
  double tolerance = 0;
  std::vector<Load> loads;  // the second with the pipelines that the first left behind
  double first_ms = 0;
  Warm warm;
  double busy_ms = 0;
  int replays = 0;
  int differing_replays = 0;
  std::vector<Window> drift;
  Memory memory;
  std::optional<Streaming> streaming;
  uint64_t device_peak_bytes = 0;
  std::vector<std::pair<std::string, double>> profile;
  std::vector<std::string> output_files;
};

// The keys of a row of `smartmem bench`, and more: docs/android.md.
std::string to_json(const Report& report);

// For people.
std::string to_text(const Report& report);

// All devices of this machine, with what each offers.
std::string devices_json();

}  // namespace smartmem::runner
