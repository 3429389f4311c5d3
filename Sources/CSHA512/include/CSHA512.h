/// SHA-512 of several messages of one length side by side, a message a vector lane. Source: FIPS 180-4, 6.4.
#pragma once

#include <stddef.h>
#include <stdint.h>

/// Most messages that this processor hashes at once: 8 with AVX-512, 4 with AVX2, else 0: `drover_sha512_lanes` may not be called.
/// The same in each call. From any thread.
int drover_sha512_lane_count(void);

/// The lanes that a test wants to have tried: 0 or one of those that `drover_sha512_has_width` answers 1 for.
typedef enum { DROVER_SHA512_AVX2 = 1, DROVER_SHA512_AVX512_4 = 2, DROVER_SHA512_AVX512_8 = 3 } drover_sha512_width;

/// 1: this processor can.
int drover_sha512_has_width(drover_sha512_width width);

/// Hashes `count` messages, 1 to `drover_sha512_lane_count()`, of `length` bytes each, a multiple of 128; writes 64 bytes for each.
/// Reads only the messages; keeps nothing. From any thread.
void drover_sha512_lanes(
    const uint8_t *const *messages, int count, size_t length, uint8_t *const *digests);

/// The same with one width, and `count` up to its lanes: 4, 4 or 8.
void drover_sha512_lanes_of(
    drover_sha512_width width, const uint8_t *const *messages, int count, size_t length, uint8_t *const *digests);
