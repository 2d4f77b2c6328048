// How far an output is from what it must be, as smartmem/verify.py measures it.
#pragma once

#include <string>

#include "tensors.h"

namespace smartmem::runner {

struct Comparison {
  double relative_l2 = 0;  // |actual - expected| / |expected| where both are finite
  std::string reason;      // why it is wrong, empty where it is not
};

// Floats may differ by `tolerance`, and must be finite where expected; all else must be equal.
Comparison compare(const sm_tensor& form, const Content& expected, const Content& actual,
                   double tolerance);

}  // namespace smartmem::runner
