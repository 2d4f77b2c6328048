// Floats of 16 and 32 bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace smartmem::runner {

enum class FloatKind { kNone, kFloat32, kFloat16, kBfloat16 };

FloatKind float_kind(const std::string& dtype);
size_t float_bytes(FloatKind kind);
double load_float(FloatKind kind, const uint8_t* place);
// Digits that do not fit are cut off.
void store_float(FloatKind kind, float value, uint8_t* place);

}  // namespace smartmem::runner
