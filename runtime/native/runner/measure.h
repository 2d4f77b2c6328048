// Loading, running, timing.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api.h"
#include "options.h"
#include "tensors.h"

namespace smartmem::runner {

// Milliseconds of timed runs; as `smartmem bench` has them.
struct Warm {
  double median = 0;
  double min = 0;
  double max = 0;
  size_t runs = 0;
  double spread = 0;  // between the medians of the odd and the even runs, relative
};

Warm warm_of(const std::vector<double>& samples);

struct Load {
  double milliseconds;
  sm_model_stats stats;
};

struct Window {
  double at_s;
  double median_ms;
};

// How weights moved in the last run. `hidden_ms`: of `moving_ms`, in which they were read or copied,
// that in which steps ran, too.
struct Streaming {
  sm_stream_stats stats;
  double step_ms;
  double moving_ms;
  double hidden_ms;
};

// The form and the content of an input or output.
struct Tensor {
  sm_tensor form;
  Content content;
};

// A model with a session, and the tensors of its calls.
class Program {
 public:
  Program(const sm_bundle* bundle, sm_device* device, const Options& options,
          std::vector<Tensor> inputs, std::vector<Tensor> outputs);

  const Load& load() const { return load_; }
  const std::vector<Tensor>& outputs() const { return outputs_; }

  // One call, the copies included: milliseconds. Ends the process past the time limit.
  double run();
  double gpu_ms() const;
  // Nothing where all weights are loaded.
  std::optional<Streaming> streaming() const;
  // Of `count` more calls, those with other bits than the outputs of the last.
  int differing_replays(int count);
  // The median time of a run in each second of so many.
  std::vector<Window> drift(double seconds);
  // Name and microseconds of each command.
  std::vector<std::pair<std::string, double>> profile();

 private:
  void wait();

  Model model_;
  Session session_;
  Load load_;
  std::vector<Tensor> inputs_;
  std::vector<Tensor> outputs_;
  uint64_t time_limit_ns_;
};

}  // namespace smartmem::runner
