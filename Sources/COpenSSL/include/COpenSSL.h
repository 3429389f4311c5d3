#pragma once

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stddef.h>
#include <stdint.h>

/* AES-XTS (IEEE 1619) over many sectors at once: libcrypto's own takes one sector a call, and with sectors of 512 bytes such
 * a call costs as much as its work. By the processor's AES where it has one that is known here, else by libcrypto's. */
struct copenssl_xts;

/* `key` is both halves, 32 or 64 bytes; `portable` leaves out what only some machines have, for tests. NULL: no memory,
 * a wrong length, equal halves, or a libcrypto without AES. A context is used by one thread at a time. */
struct copenssl_xts *copenssl_xts_new(const uint8_t *key, size_t length, int encrypt, int portable);
void copenssl_xts_free(struct copenssl_xts *xts);

/* `length` is a multiple of `sector`, and that a power of 2 from 512 to 4096. The sector at `in` has the tweak `tweak`, the next
 * one `tweak + step`, as 64-bit little-endian numbers. `in` and `out` are equal or apart. 1: done. */
int copenssl_xts_crypt(struct copenssl_xts *xts, const uint8_t *in, uint8_t *out, size_t length, size_t sector,
                       uint64_t tweak, uint64_t step);
