#include "compare.h"

#include <cmath>

#include "error.h"
#include "floats.h"

namespace smartmem::runner {
namespace {

bool same_nonfinite(double a, double b) { return (std::isnan(a) && std::isnan(b)) || a == b; }

// Of integers: bytes that differ, among all.
Comparison compare_bytes(const sm_tensor& form, const Content& expected, const Content& actual) {
  size_t different = 0;
  for (size_t i = 0; i < expected.size(); ++i) different += expected[i] != actual[i] ? 1 : 0;
  if (different == 0) return {};
  return {1.0, text(form.name, ": ", different, " of ", expected.size(), " bytes differ")};
}

}  // namespace

Comparison compare(const sm_tensor& form, const Content& expected, const Content& actual,
                   double tolerance) {
  const FloatKind kind = float_kind(form.dtype);
  if (kind == FloatKind::kNone) return compare_bytes(form, expected, actual);
  double norm = 0;
  double distance = 0;
  for (size_t place = 0; place < expected.size(); place += float_bytes(kind)) {
    const double wanted = load_float(kind, expected.data() + place);
    const double found = load_float(kind, actual.data() + place);
    if (std::isfinite(wanted) && std::isfinite(found)) {
      norm += wanted * wanted;
      distance += (found - wanted) * (found - wanted);
    } else if (!same_nonfinite(wanted, found)) {
      return {1.0, text(form.name, ": NaN or infinities stand elsewhere than expected")};
    }
  }
  const double relative = std::sqrt(distance) / (norm > 0 ? std::sqrt(norm) : 1.0);
  if (relative <= tolerance) return {relative, ""};
  return {relative, text(form.name, ": relative L2 ", relative, ", allowed ", tolerance)};
}

}  // namespace smartmem::runner
