// The command line.
#pragma once

#include <string>
#include <vector>

namespace smartmem::runner {

// Exit codes, as of the `smartmem` command.
constexpr int kUserExit = 1;
constexpr int kMismatchExit = 3;
constexpr int kDeviceExit = 4;

struct Options {
  bool lists_devices = false;
  bool shows_help = false;
  std::string folder;
  std::string target;
  std::string device;
  std::vector<std::string> inputs;
  std::vector<std::string> expected;
  double tolerance = 1e-4;
  std::string output_folder;
  std::string cache_folder;
  double budget = 0;          // for weights: bytes, or a share of them; 0: as it was compiled
  bool budget_is_auto = false;
  bool budget_is_share = false;
  int runs = 20;
  int replays = 0;
  double drift_s = 0;
  double time_limit_s = 300;
  bool profiles = false;
  std::string json;
};

extern const char* const kUsage;

// Throws SM_INVALID_ARGUMENT for what is no command line of this program.
Options parse_options(int count, char** arguments);

}  // namespace smartmem::runner
