#include "crc32.h"

#include <array>
#include <cstring>

namespace smartmem {
namespace {

constexpr uint32_t kReflected = 0xEDB88320;
constexpr size_t kStride = 8;  // bytes taken at once

using Table = std::array<uint32_t, 256>;

// tables[k][b]: the checksum of byte b and k zeros after it.
std::array<Table, kStride> make_tables() {
  std::array<Table, kStride> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReflected : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < kStride; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}

}  // namespace

uint32_t crc32(uint32_t crc, Bytes more) {
  static const std::array<Table, kStride> tables = make_tables();
  const uint8_t* next = more.data;
  size_t left = more.size;
  crc = ~crc;
  for (; left >= kStride; left -= kStride, next += kStride) {
    uint32_t low = 0;
    uint32_t high = 0;
    std::memcpy(&low, next, sizeof(low));
    std::memcpy(&high, next + sizeof(low), sizeof(high));
    low ^= crc;
    crc = tables[7][low & 0xFF] ^ tables[6][low >> 8 & 0xFF] ^ tables[5][low >> 16 & 0xFF] ^
          tables[4][low >> 24] ^ tables[3][high & 0xFF] ^ tables[2][high >> 8 & 0xFF] ^
          tables[1][high >> 16 & 0xFF] ^ tables[0][high >> 24];
  }
  for (; left > 0; --left, ++next) crc = (crc >> 8) ^ tables[0][(crc ^ *next) & 0xFF];
  return ~crc;
}

}  // namespace smartmem
