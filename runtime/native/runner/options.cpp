#include "options.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>

#include "error.h"

namespace smartmem::runner {
namespace {

// At least `least`.
double number(const std::string& name, const std::string& text, double least) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value) || value < least) {
    fail(SM_INVALID_ARGUMENT, name, ": '", text, "' is not a number of at least ", least);
  }
  return value;
}

int count(const std::string& name, const std::string& text, int least) {
  constexpr double kMost = 1e9;
  const double value = number(name, text, least);
  if (value != std::floor(value) || value > kMost) {
    fail(SM_INVALID_ARGUMENT, name, ": '", text, "' is not a count");
  }
  return static_cast<int>(value);
}

// Bytes (512MiB, 1.5GB), or a part of all weights (50%).
void take_budget(Options& options, const std::string& text) {
  struct Unit {
    const char* name;
    double factor;
  };
  constexpr double kKilo = 1e3, kKibi = 1024;
  const Unit units[] = {{"KiB", kKibi},         {"MiB", kKibi * kKibi},
                        {"GiB", kKibi * kKibi * kKibi}, {"KB", kKilo},
                        {"MB", kKilo * kKilo},  {"GB", kKilo * kKilo * kKilo},
                        {"B", 1},               {"%", 1e-2},
                        {"", 1}};
  options.budget_is_auto = text == "auto";
  if (options.budget_is_auto) return;
  const size_t digits = text.find_first_not_of("0123456789.");
  const std::string unit = digits == std::string::npos ? "" : text.substr(digits);
  for (const Unit& known : units) {
    if (unit != known.name) continue;
    options.budget = known.factor * number("--budget", text.substr(0, digits), 0);
    options.budget_is_share = unit == "%";
    if (options.budget <= 0 || (options.budget_is_share && options.budget > 1)) break;
    return;
  }
  fail(SM_INVALID_ARGUMENT, "--budget: '", text, "' is no size, such as 512MiB, no share of ",
       "the weights, such as 50%, and not auto");
}

// What stands after the option's name.
void take(Options& options, const std::string& name, const std::string& text) {
  if (name == "--target") {
    options.target = text;
  } else if (name == "--device") {
    options.device = text;
  } else if (name == "--input") {
    options.inputs.push_back(text);
  } else if (name == "--expect") {
    options.expected.push_back(text);
  } else if (name == "--tolerance") {
    options.tolerance = number(name, text, 0);
  } else if (name == "--output-dir") {
    options.output_folder = text;
  } else if (name == "--cache") {
    options.cache_folder = text;
  } else if (name == "--budget") {
    take_budget(options, text);
  } else if (name == "--runs") {
    options.runs = count(name, text, 1);
  } else if (name == "--replays") {
    options.replays = count(name, text, 0);
  } else if (name == "--drift") {
    options.drift_s = number(name, text, 0);
  } else if (name == "--time-limit") {
    options.time_limit_s = number(name, text, 0);
  } else if (name == "--json") {
    options.json = text;
  } else {
    fail(SM_INVALID_ARGUMENT, "unknown option ", name, "; --help lists them");
  }
}

}  // namespace

const char* const kUsage =
    R"(smartmem-run MODEL.smartmem [OPTION...]     runs a compiled model on a Vulkan device
smartmem-run --devices                      what devices there are, as JSON

  --target NAME      which of the model's targets; needed where it has several
  --device NAME      a device whose name has this in it; else the first GPU
  --input FILE       .npy, or the raw bytes; once for each input, in order; else random numbers
  --expect FILE      what an output must be, .npy or raw bytes; once for each output
  --tolerance X      relative L2 distance allowed for outputs of floats (1e-4)
  --output-dir DIR   writes the outputs there, as 0.npy, 1.npy, ...
  --budget SIZE      the most device memory for weights: 512MiB, or 50% of them; what does not fit
                     is read from the archive in each run, with the same outputs; auto: the
                     smallest that is predicted to make runs at most half as long again
  --runs N           timed warm runs (20)
  --replays N        further runs whose outputs must have the same bits (0)
  --drift SECONDS    keeps running for so long, and tells the time of a run second by second
  --cache DIR        keeps compiled pipelines there, and loads the model twice: without and with
  --time-limit S     seconds that one run may take (300)
  --profile          the time of each command
  --json FILE        writes what was measured there; - is the standard output

Exit codes: 0 ok, 1 wrong use or damaged files, 3 outputs that differ, 4 the device.
)";

Options parse_options(int argument_count, char** arguments) {
  Options options;
  for (int i = 1; i < argument_count; ++i) {
    const std::string word = arguments[i];
    if (word == "--help") {
      options.shows_help = true;
    } else if (word == "--devices") {
      options.lists_devices = true;
    } else if (word == "--profile") {
      options.profiles = true;
    } else if (word.rfind("--", 0) == 0) {
      if (i + 1 == argument_count) fail(SM_INVALID_ARGUMENT, word, " needs a value");
      take(options, word, arguments[++i]);
    } else if (options.folder.empty()) {
      options.folder = word;
    } else {
      fail(SM_INVALID_ARGUMENT, "one model at a time, not also ", word);
    }
  }
  if (options.folder.empty() && !options.lists_devices && !options.shows_help) {
    fail(SM_INVALID_ARGUMENT, "which model? --help tells how to call this");
  }
  return options;
}

}  // namespace smartmem::runner
