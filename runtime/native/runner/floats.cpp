#include "floats.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace smartmem::runner {
namespace {

// IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction.
double of_half(uint16_t bits) {
  const int exponent = bits >> 10 & 0x1F;
  const int fraction = bits & 0x3FF;
  double value = 0;
  if (exponent == 0x1F) {
    value = fraction == 0 ? std::numeric_limits<double>::infinity()
                          : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == 0) {
    value = std::ldexp(fraction, -24);
  } else {
    value = std::ldexp(fraction | 0x400, exponent - 25);
  }
  return bits >> 15 != 0 ? -value : value;
}

// Of a number between 2^-14 and 2^16; smaller ones become 0, larger ones the largest.
uint16_t to_half(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const int exponent = static_cast<int>(bits >> 23 & 0xFF) - 127 + 15;
  if (exponent <= 0) return sign;
  if (exponent >= 0x1F) return static_cast<uint16_t>(sign | 0x7BFF);
  return static_cast<uint16_t>(sign | exponent << 10 | (bits >> 13 & 0x3FF));
}

float of_bits(uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace

FloatKind float_kind(const std::string& dtype) {
  if (dtype == "float32") return FloatKind::kFloat32;
  if (dtype == "float16") return FloatKind::kFloat16;
  if (dtype == "bfloat16") return FloatKind::kBfloat16;
  return FloatKind::kNone;
}

size_t float_bytes(FloatKind kind) { return kind == FloatKind::kFloat32 ? 4 : 2; }

double load_float(FloatKind kind, const uint8_t* place) {
  if (kind == FloatKind::kFloat32) {
    uint32_t bits = 0;
    std::memcpy(&bits, place, sizeof(bits));
    return of_bits(bits);
  }
  uint16_t bits = 0;
  std::memcpy(&bits, place, sizeof(bits));
  return kind == FloatKind::kFloat16 ? of_half(bits) : of_bits(uint32_t{bits} << 16);
}

void store_float(FloatKind kind, float value, uint8_t* place) {
  if (kind == FloatKind::kFloat32) {
    std::memcpy(place, &value, sizeof(value));
    return;
  }
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  const uint16_t half =
      kind == FloatKind::kFloat16 ? to_half(value) : static_cast<uint16_t>(bits >> 16);
  std::memcpy(place, &half, sizeof(half));
}

}  // namespace smartmem::runner
