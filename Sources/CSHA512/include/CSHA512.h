/// SHA-512 of several messages of one length side by side, a message a lane of the vector unit. Source: FIPS 180-4, 6.4.
#pragma once

#include <stddef.h>
#include <stdint.h>

/// AVX2 and AVX-512 with 4 lanes, AVX-512 with 8.
typedef enum { DROVER_SHA512_AVX2 = 1, DROVER_SHA512_AVX512_4 = 2, DROVER_SHA512_AVX512_8 = 3 } drover_sha512_width;

/// 1: this processor can; 0: `drover_sha512_lanes_of` may not be called with it. The same in each call, from any thread.
int drover_sha512_has_width(drover_sha512_width width);

/// Hashes `count` messages, 1 to 4 or 8, of `length` bytes each, a multiple of 128; writes 64 bytes for each. Stops the process on
/// other arguments. Reads only the messages and keeps nothing. From any thread.
void drover_sha512_lanes_of(
    drover_sha512_width width, const uint8_t *const *messages, int count, size_t length, uint8_t *const *digests);
