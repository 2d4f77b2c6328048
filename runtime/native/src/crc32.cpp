#include "crc32.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

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

// The state after more bytes; a checksum is a state with all bits flipped.
uint32_t by_tables(uint32_t state, Bytes more) {
  static const std::array<Table, kStride> tables = make_tables();
  const uint8_t* next = more.data;
  size_t left = more.size;
  for (; left >= kStride; left -= kStride, next += kStride) {
    uint32_t low = 0;
    uint32_t high = 0;
    std::memcpy(&low, next, sizeof(low));
    std::memcpy(&high, next + sizeof(low), sizeof(high));
    low ^= state;
    state = tables[7][low & 0xFF] ^ tables[6][low >> 8 & 0xFF] ^ tables[5][low >> 16 & 0xFF] ^
            tables[4][low >> 24] ^ tables[3][high & 0xFF] ^ tables[2][high >> 8 & 0xFF] ^
            tables[1][high >> 16 & 0xFF] ^ tables[0][high >> 24];
  }
  for (; left > 0; --left, ++next) state = (state >> 8) ^ tables[0][(state ^ *next) & 0xFF];
  return state;
}

#if defined(__x86_64__)

constexpr size_t kBlock = 16;
constexpr size_t kBlocks = 4;  // that are folded side by side

// What stands `distance` before more of the message weighs: its two halves times powers of x modulo
// the polynomial, added to what stands there (Gopal et al., "Fast CRC computation for generic
// polynomials using PCLMULQDQ", 2009).
__attribute__((target("pclmul,sse4.1"))) __m128i folded(__m128i block, __m128i powers,
                                                         __m128i there) {
  const __m128i low = _mm_clmulepi64_si128(block, powers, 0x00);
  const __m128i high = _mm_clmulepi64_si128(block, powers, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), there);
}

__attribute__((target("pclmul,sse4.1"))) uint32_t by_products(uint32_t state, Bytes more) {
  const auto load = [](const uint8_t* place) __attribute__((target("pclmul,sse4.1"))) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(place));
  };
  // x^(512+32), x^(512-32), and the same of 128, reflected.
  const __m128i by_64_bytes = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
  const __m128i by_16_bytes = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
  const uint8_t* next = more.data;
  size_t left = more.size;
  __m128i blocks[kBlocks];
  for (size_t i = 0; i < kBlocks; ++i) blocks[i] = load(next + i * kBlock);
  blocks[0] = _mm_xor_si128(blocks[0], _mm_cvtsi32_si128(static_cast<int>(state)));
  for (next += kBlocks * kBlock, left -= kBlocks * kBlock; left >= kBlocks * kBlock;
       next += kBlocks * kBlock, left -= kBlocks * kBlock) {
    for (size_t i = 0; i < kBlocks; ++i) {
      blocks[i] = folded(blocks[i], by_64_bytes, load(next + i * kBlock));
    }
  }
  for (size_t i = 1; i < kBlocks; ++i) {
    blocks[i] = folded(blocks[i - 1], by_16_bytes, blocks[i]);
  }
  // What is left weighs as much as all of it did.
  uint8_t rest[kBlock];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(rest), blocks[kBlocks - 1]);
  return by_tables(by_tables(0, {rest, kBlock}), {next, left});
}

uint32_t fastest(uint32_t state, Bytes more) {
  static const bool has_products =
      __builtin_cpu_supports("pclmul") != 0 && __builtin_cpu_supports("sse4.1") != 0;
  const bool pays = more.size >= kBlocks * kBlock;
  return has_products && pays ? by_products(state, more) : by_tables(state, more);
}

#elif defined(__aarch64__) && defined(__linux__)

uint32_t by_instruction(uint32_t state, Bytes more) {
  const uint8_t* next = more.data;
  size_t left = more.size;
  for (; left >= sizeof(uint64_t); left -= sizeof(uint64_t), next += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, next, sizeof(word));
    asm(".arch_extension crc\n\tcrc32x %w0, %w0, %x1" : "+r"(state) : "r"(word));
  }
  return by_tables(state, {next, left});
}

uint32_t fastest(uint32_t state, Bytes more) {
  constexpr unsigned long kHasCrc32 = 1UL << 7;  // Linux's HWCAP_CRC32
  static const bool has_instruction = (getauxval(AT_HWCAP) & kHasCrc32) != 0;
  return has_instruction ? by_instruction(state, more) : by_tables(state, more);
}

#else

uint32_t fastest(uint32_t state, Bytes more) { return by_tables(state, more); }

#endif

}  // namespace

uint32_t crc32(uint32_t crc, Bytes more) { return ~fastest(~crc, more); }

}  // namespace smartmem
