#include "COpenSSL.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Sectors whose first tweaks are made at once. */
#define AHEAD 128u
/* What libcrypto enciphers at once: short enough for the first-level cache, long enough for a call. */
#define BATCH 4096u
/* A round more than AES-256 has. */
#define ROUND_KEYS 15

struct copenssl_xts {
  /* AES with the first half of the key, in the caller's direction. */
  EVP_CIPHER_CTX *data;
  /* AES with the second half. */
  EVP_CIPHER_CTX *tweak;
  /* Whole sectors, whose first tweaks are in `first`. */
  int (*crypt)(struct copenssl_xts *xts, const uint8_t *in, uint8_t *out, size_t length, size_t sector);
  int rounds;
  _Alignas(16) uint32_t keys[ROUND_KEYS][4];
  /* And room for the one behind the last, which is looked at and not used. */
  _Alignas(16) uint8_t first[(AHEAD + 1) * 16];
  uint64_t tweaks[BATCH / 8];
};

static EVP_CIPHER_CTX *ecb(const uint8_t *key, size_t length, int encrypt) {
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  const EVP_CIPHER *cipher = length == 16 ? EVP_aes_128_ecb() : EVP_aes_256_ecb();
  if (context != NULL && EVP_CipherInit_ex(context, cipher, NULL, key, NULL, encrypt) == 1 &&
      EVP_CIPHER_CTX_set_padding(context, 0) == 1)
    return context;
  EVP_CIPHER_CTX_free(context);
  return NULL;
}

/* By libcrypto, on any processor: tweaks over the bytes, AES, tweaks over the bytes. */
static int crypt_anywhere(struct copenssl_xts *xts, const uint8_t *in, uint8_t *out, size_t length, size_t sector) {
  const uint8_t *first = xts->first;
  uint64_t low = 0, high = 0;
  for (size_t part; length > 0; in += part, out += part, length -= part) {
    part = length < BATCH ? length : BATCH;
    for (size_t at = 0; at < part; at += 16) {
      uint64_t *tweak = xts->tweaks + at / 8, block[2];
      if (at % sector == 0) {
        memcpy(&low, first, 8);
        memcpy(&high, first + 8, 8);
        first += 16;
      }
      tweak[0] = low;
      tweak[1] = high;
      memcpy(block, in + at, 16);
      block[0] ^= low;
      block[1] ^= high;
      memcpy(out + at, block, 16);
      /* Times x, modulo x^128 + x^7 + x^2 + x + 1. */
      const uint64_t carry = high >> 63;
      high = high << 1 | low >> 63;
      low = low << 1 ^ carry * 0x87;
    }
    if (EVP_Cipher(xts->data, out, out, (unsigned)part) <= 0) return 0;
    for (size_t at = 0; at < part; at += 8) {
      uint64_t word;
      memcpy(&word, out + at, 8);
      word ^= xts->tweaks[at / 8];
      memcpy(out + at, &word, 8);
    }
  }
  return 1;
}

#if defined(__x86_64__)
#define FAST __attribute__((target("aes,avx")))
#define EACH_BLOCK(what) what(0) what(1) what(2) what(3) what(4) what(5) what(6) what(7)

/* FIPS 197, 5.2. The instruction substitutes the bytes of words; numbers are little-endian, so a word turns right. */
FAST static uint32_t substituted(uint32_t word) {
  return (uint32_t)_mm_cvtsi128_si32(_mm_aeskeygenassist_si128(_mm_set1_epi32((int)word), 0));
}

FAST static void expand(struct copenssl_xts *xts, const uint8_t *key, size_t length, int encrypt) {
  const size_t count = length / 4;
  uint32_t *words = xts->keys[0], power = 1;
  xts->rounds = (int)count + 6;
  memcpy(words, key, length);
  for (size_t at = count; at < 4 * ((size_t)xts->rounds + 1); at++) {
    uint32_t word = words[at - 1];
    if (at % count == 0) {
      word = substituted(word);
      word = (word >> 8 | word << 24) ^ power;
      power = power << 1 ^ (power >> 7) * 0x11b;
    } else if (count == 8 && at % count == 4) {
      word = substituted(word);
    }
    words[at] = words[at - count] ^ word;
  }
  if (encrypt) return;
  /* The equivalent inverse cipher, 5.3.5: the other way round, and mixed but for the outer ones. */
  __m128i *keys = (__m128i *)xts->keys;
  for (int begin = 0, end = xts->rounds; begin < end; begin++, end--) {
    __m128i swapped = keys[begin];
    keys[begin] = keys[end];
    keys[end] = swapped;
  }
  for (int round = 1; round < xts->rounds; round++) keys[round] = _mm_aesimc_si128(keys[round]);
}

/* Times x, modulo x^128 + x^7 + x^2 + x + 1: each half is doubled, and takes the bit that left the other. */
FAST static inline __m128i doubled(__m128i tweak) {
  __m128i carries = _mm_shuffle_epi32(_mm_srai_epi32(tweak, 31), 0x13);
  return _mm_xor_si128(_mm_add_epi64(tweak, tweak), _mm_and_si128(carries, _mm_set_epi32(0, 1, 0, 0x87)));
}

/* By the processor's own AES, all in one pass: eight blocks at once, since an instruction waits for the last one of its
 * block, and the tweaks of the next eight between their rounds. */
FAST __attribute__((always_inline)) static inline int crypt_fast(struct copenssl_xts *xts, const uint8_t *in,
                                                                 uint8_t *out, size_t length, size_t sector,
                                                                 const int encrypt) {
  const __m128i *keys = (const __m128i *)xts->keys, *first = (const __m128i *)xts->first;
  const int rounds = xts->rounds;
  __m128i next = first[0], coming[8], tweaks[8], blocks[8], key;
#define TWEAK(at)    \
  coming[at] = next; \
  next = doubled(next);
#define BEGIN(at)          \
  tweaks[at] = coming[at]; \
  blocks[at] = _mm_xor_si128(_mm_loadu_si128((const __m128i *)in + at), _mm_xor_si128(tweaks[at], key));
#define ROUND(at) blocks[at] = encrypt ? _mm_aesenc_si128(blocks[at], key) : _mm_aesdec_si128(blocks[at], key);
#define ROUND_AND_TWEAK(at) \
  key = keys[at + 1];       \
  ROUND(0) ROUND(1) ROUND(2) ROUND(3) ROUND(4) ROUND(5) ROUND(6) ROUND(7) TWEAK(at)
#define END(at)                                    \
  tweaks[at] = _mm_xor_si128(tweaks[at], key);     \
  _mm_storeu_si128((__m128i *)out + at, encrypt ? _mm_aesenclast_si128(blocks[at], tweaks[at]) \
                                                : _mm_aesdeclast_si128(blocks[at], tweaks[at]));
  EACH_BLOCK(TWEAK)
  for (size_t at = 0; at < length; in += 128, out += 128) {
    at += 128;
    if (at % sector == 0) next = first[at / sector];
    key = keys[0];
    EACH_BLOCK(BEGIN)
    /* There are nine such rounds at least. */
    EACH_BLOCK(ROUND_AND_TWEAK)
    for (int round = 9; round < rounds; round++) {
      key = keys[round];
      EACH_BLOCK(ROUND)
    }
    key = keys[rounds];
    EACH_BLOCK(END)
  }
  return 1;
}

FAST static int encrypt_fast(struct copenssl_xts *xts, const uint8_t *in, uint8_t *out, size_t length, size_t sector) {
  return crypt_fast(xts, in, out, length, sector, 1);
}

FAST static int decrypt_fast(struct copenssl_xts *xts, const uint8_t *in, uint8_t *out, size_t length, size_t sector) {
  return crypt_fast(xts, in, out, length, sector, 0);
}
#endif

static void choose(struct copenssl_xts *xts, const uint8_t *key, size_t length, int encrypt, int portable) {
  xts->crypt = crypt_anywhere;
#if defined(__x86_64__)
  if (portable || !__builtin_cpu_supports("aes") || !__builtin_cpu_supports("avx")) return;
  expand(xts, key, length, encrypt);
  xts->crypt = encrypt ? encrypt_fast : decrypt_fast;
#else
  (void)key, (void)length, (void)encrypt, (void)portable;
#endif
}

struct copenssl_xts *copenssl_xts_new(const uint8_t *key, size_t length, int encrypt, int portable) {
  if ((length != 32 && length != 64) || CRYPTO_memcmp(key, key + length / 2, length / 2) == 0) return NULL;
  struct copenssl_xts *xts = OPENSSL_zalloc(sizeof *xts);
  if (xts == NULL) return NULL;
  choose(xts, key, length / 2, encrypt, portable);
  xts->data = ecb(key, length / 2, encrypt);
  xts->tweak = ecb(key + length / 2, length / 2, 1);
  if (xts->data != NULL && xts->tweak != NULL) return xts;
  copenssl_xts_free(xts);
  return NULL;
}

void copenssl_xts_free(struct copenssl_xts *xts) {
  if (xts == NULL) return;
  EVP_CIPHER_CTX_free(xts->data);
  EVP_CIPHER_CTX_free(xts->tweak);
  OPENSSL_clear_free(xts, sizeof *xts);
}

static int make_first(struct copenssl_xts *xts, size_t sectors, uint64_t tweak, uint64_t step) {
  int done;
  memset(xts->first, 0, sectors * 16);
  for (size_t number = 0; number < sectors; number++, tweak += step)
    for (int byte = 0; byte < 8; byte++) xts->first[number * 16 + byte] = (uint8_t)(tweak >> (8 * byte));
  return EVP_CipherUpdate(xts->tweak, xts->first, &done, xts->first, (int)(sectors * 16)) == 1;
}

int copenssl_xts_crypt(struct copenssl_xts *xts, const uint8_t *in, uint8_t *out, size_t length, size_t sector,
                       uint64_t tweak, uint64_t step) {
  if (sector == 0 || sector % 512 != 0 || BATCH % sector != 0 || length % sector != 0) return 0;
  while (length > 0) {
    const size_t sectors = length / sector < AHEAD ? length / sector : AHEAD, part = sectors * sector;
    if (!make_first(xts, sectors, tweak, step) || !xts->crypt(xts, in, out, part, sector)) return 0;
    in += part;
    out += part;
    length -= part;
    tweak += sectors * step;
  }
  return 1;
}
