#include "CSHA512.h"

#include <stdlib.h>
#include <string.h>

#include "Constants.h"

#if defined(__x86_64__) && defined(__clang__)

#define SWAP_16(o) o + 7, o + 6, o + 5, o + 4, o + 3, o + 2, o + 1, o, o + 15, o + 14, o + 13, o + 12, o + 11, o + 10, o + 9, o + 8
#define SWAP_32(x) __builtin_shufflevector(x, x, SWAP_16(0), SWAP_16(16))
#define SWAP_64(x) __builtin_shufflevector(x, x, SWAP_16(0), SWAP_16(16), SWAP_16(32), SWAP_16(48))

#define TRANSPOSE_4(row, out)                                                                                          \
  do {                                                                                                                 \
    for (int pair = 0; pair < 2; pair++) {                                                                             \
      out[pair] = pair == 0 ? __builtin_shufflevector(row[0], row[1], 0, 4, 2, 6)                                      \
                            : __builtin_shufflevector(row[0], row[1], 1, 5, 3, 7);                                     \
      out[pair + 2] = pair == 0 ? __builtin_shufflevector(row[2], row[3], 0, 4, 2, 6)                                  \
                                : __builtin_shufflevector(row[2], row[3], 1, 5, 3, 7);                                 \
    }                                                                                                                  \
    for (int pair = 0; pair < 2; pair++) {                                                                             \
      row[0] = __builtin_shufflevector(out[pair], out[pair + 2], 0, 1, 4, 5);                                          \
      row[1] = __builtin_shufflevector(out[pair], out[pair + 2], 2, 3, 6, 7);                                          \
      out[pair] = row[0];                                                                                              \
      out[pair + 2] = row[1];                                                                                          \
    }                                                                                                                  \
  } while (0)

// Within pairs of lanes, then pairs of pairs, then halves.
#define TRANSPOSE_8(row, out)                                                                                          \
  do {                                                                                                                 \
    for (int i = 0; i < 8; i += 2) {                                                                                   \
      out[i] = __builtin_shufflevector(row[i], row[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);                                 \
      out[i + 1] = __builtin_shufflevector(row[i], row[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);                             \
    }                                                                                                                  \
    for (int i = 0; i < 8; i += 4) {                                                                                   \
      for (int j = i; j < i + 2; j++) {                                                                                \
        row[j] = __builtin_shufflevector(out[j], out[j + 2], 0, 1, 8, 9, 4, 5, 12, 13);                                \
        row[j + 2] = __builtin_shufflevector(out[j], out[j + 2], 2, 3, 10, 11, 6, 7, 14, 15);                          \
      }                                                                                                                \
    }                                                                                                                  \
    for (int i = 0; i < 4; i++) {                                                                                      \
      out[i] = __builtin_shufflevector(row[i], row[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);                                  \
      out[i + 4] = __builtin_shufflevector(row[i], row[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);                            \
    }                                                                                                                  \
  } while (0)

#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define NAME(x) avx2_##x
#define LANES 4
#define SWAP_BYTES SWAP_32
#define TRANSPOSE TRANSPOSE_4
#include "Lanes.inc"
#pragma clang attribute pop

// Rotations and three-way logic in one instruction each.
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl"))), apply_to = function)
#define NAME(x) avx512_4_##x
#define LANES 4
#define SWAP_BYTES SWAP_32
#define TRANSPOSE TRANSPOSE_4
#include "Lanes.inc"

#define NAME(x) avx512_8_##x
#define LANES 8
#define SWAP_BYTES SWAP_64
#define TRANSPOSE TRANSPOSE_8
#include "Lanes.inc"
#pragma clang attribute pop

int drover_sha512_has_width(drover_sha512_width width) {
  __builtin_cpu_init();
  if (width == DROVER_SHA512_AVX2) return __builtin_cpu_supports("avx2") != 0;
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

void drover_sha512_lanes_of(
    drover_sha512_width width, const uint8_t *const *messages, int count, size_t length, uint8_t *const *digests) {
  if (count < 1 || count > (width == DROVER_SHA512_AVX512_8 ? 8 : 4) || length % 128 != 0) abort();
  switch (width) {
    case DROVER_SHA512_AVX2: return avx2_hash(messages, count, length, digests);
    case DROVER_SHA512_AVX512_4: return avx512_4_hash(messages, count, length, digests);
    case DROVER_SHA512_AVX512_8: return avx512_8_hash(messages, count, length, digests);
  }
}

#else

int drover_sha512_has_width(drover_sha512_width width) { return 0; }

void drover_sha512_lanes_of(
    drover_sha512_width width, const uint8_t *const *messages, int count, size_t length, uint8_t *const *digests) {
  abort();
}

#endif
