#include "COpenSSL.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* What is laid over and enciphered at once: short enough for the first-level cache, long enough for libcrypto. */
#define BATCH 4096u
/* Sectors whose first tweaks are made at once. */
#define AHEAD 128u

/* Four blocks as pairs of 64-bit numbers, lower half first: compilers make the widest instructions there are of it. */
typedef uint64_t blocks __attribute__((vector_size(64), aligned(64)));
typedef uint64_t loose __attribute__((vector_size(64), aligned(1)));

/* Makes all tweaks from each sector's first one, and lays them over the bytes: their exclusive or goes into `out`. */
typedef void (*laying)(const uint8_t *first, blocks *tweaks, const uint8_t *in, uint8_t *out, size_t length,
                       size_t sector);

struct copenssl_xts {
  blocks tweaks[BATCH / 64];
  EVP_CIPHER_CTX *data;
  EVP_CIPHER_CTX *tweak;
  laying lay;
  uint8_t first[AHEAD * 16];
};

/* Each block times x to the power of `bits`, at most 56, modulo x^128 + x^7 + x^2 + x + 1. `bits` is one number or a
 * vector of them; a shift by 64 would not be defined, hence the two steps. */
#define TIMES(value, bits)                                                                         \
  ({                                                                                               \
    blocks over = (value) >> 1 >> (63 - (bits));                                                   \
    blocks swapped = __builtin_shufflevector(over, over, 1, 0, 3, 2, 5, 4, 7, 6);                  \
    blocks wrapped = swapped & lower;                                                              \
    (value) << (bits) ^ (swapped & ~lower) ^ wrapped ^ wrapped << 1 ^ wrapped << 2 ^ wrapped << 7; \
  })

#define LAY(number, tweak) \
  ((loose *)out)[number] = ((const loose *)in)[number] ^ (tweaks[number] = (tweak))

/* The tweaks of 512 bytes come from one number each, so that none waits for another. */
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static void lay_anywhere(const uint8_t *first, blocks *tweaks, const uint8_t *in, uint8_t *out, size_t length,
                         size_t sector) {
  const blocks lower = {~0ull, 0, ~0ull, 0, ~0ull, 0, ~0ull, 0}, each = {0, 0, 1, 1, 2, 2, 3, 3};
  for (size_t at = 0; at < length; at += sector, first += 16) {
    uint64_t half[2];
    memcpy(half, first, 16);
    blocks same = {half[0], half[1], half[0], half[1], half[0], half[1], half[0], half[1]};
    blocks base = TIMES(same, each);
    for (size_t done = 0; done < sector; done += 512, tweaks += 8, in += 512, out += 512) {
      LAY(0, base);
      LAY(1, TIMES(base, 4));
      LAY(2, TIMES(base, 8));
      LAY(3, TIMES(base, 12));
      LAY(4, TIMES(base, 16));
      LAY(5, TIMES(base, 20));
      LAY(6, TIMES(base, 24));
      LAY(7, TIMES(base, 28));
      base = TIMES(base, 32);
    }
  }
}

#if defined(__x86_64__)
/* The same by carry-less products, in half the instructions. */
#define TIMES_FAST(value, left, right)                                                                      \
  ({                                                                                                        \
    __m512i over = right;                                                                                   \
    _mm512_ternarylogic_epi64(left, _mm512_bslli_epi128(over, 8), _mm512_clmulepi64_epi128(over, modulus, 0x01), 0x96); \
  })
#define TIMES_CONSTANT(value, bits) \
  TIMES_FAST(value, _mm512_slli_epi64(value, bits), _mm512_srli_epi64(value, 64 - (bits)))
#define LAY_FAST(number, tweak)                                                                       \
  ({                                                                                                  \
    __m512i one = tweak;                                                                              \
    _mm512_store_si512(tweaks + number, one);                                                         \
    _mm512_storeu_si512(out + 64 * number, _mm512_xor_si512(_mm512_loadu_si512(in + 64 * number), one)); \
  })

__attribute__((target("avx512f,avx512bw,vpclmulqdq")))
static void lay_fast(const uint8_t *first, blocks *tweaks, const uint8_t *in, uint8_t *out, size_t length,
                         size_t sector) {
  const __m512i modulus = _mm512_set1_epi64(0x87);
  const __m512i each = _mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0), rest = _mm512_set_epi64(61, 61, 62, 62, 63, 63, 64, 64);
  for (size_t at = 0; at < length; at += sector, first += 16) {
    __m512i same = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)first));
    __m512i base = TIMES_FAST(same, _mm512_sllv_epi64(same, each), _mm512_srlv_epi64(same, rest));
    for (size_t done = 0; done < sector; done += 512, tweaks += 8, in += 512, out += 512) {
      LAY_FAST(0, base);
      LAY_FAST(1, TIMES_CONSTANT(base, 4));
      LAY_FAST(2, TIMES_CONSTANT(base, 8));
      LAY_FAST(3, TIMES_CONSTANT(base, 12));
      LAY_FAST(4, TIMES_CONSTANT(base, 16));
      LAY_FAST(5, TIMES_CONSTANT(base, 20));
      LAY_FAST(6, TIMES_CONSTANT(base, 24));
      LAY_FAST(7, TIMES_CONSTANT(base, 28));
      base = TIMES_CONSTANT(base, 32);
    }
  }
}
#endif

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static void lay_again(const blocks *tweaks, uint8_t *out, size_t length) {
  for (size_t at = 0; at < length; at += 64) *(loose *)(out + at) ^= *tweaks++;
}

static laying choose(int portable) {
#if defined(__x86_64__)
  if (!portable && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("vpclmulqdq")) return lay_fast;
#endif
  (void)portable;
  return lay_anywhere;
}

static EVP_CIPHER_CTX *ecb(const uint8_t *key, size_t length, int encrypt) {
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  const EVP_CIPHER *cipher = length == 16 ? EVP_aes_128_ecb() : EVP_aes_256_ecb();
  if (context != NULL && EVP_CipherInit_ex(context, cipher, NULL, key, NULL, encrypt) == 1 &&
      EVP_CIPHER_CTX_set_padding(context, 0) == 1)
    return context;
  EVP_CIPHER_CTX_free(context);
  return NULL;
}

struct copenssl_xts *copenssl_xts_new(const uint8_t *key, size_t length, int encrypt, int portable) {
  if ((length != 32 && length != 64) || CRYPTO_memcmp(key, key + length / 2, length / 2) == 0) return NULL;
  struct copenssl_xts *xts = aligned_alloc(64, sizeof *xts);
  if (xts == NULL) return NULL;
  xts->lay = choose(portable);
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
  OPENSSL_cleanse(xts, sizeof *xts);
  free(xts);
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
    const size_t sectors = length / sector < AHEAD ? length / sector : AHEAD;
    if (!make_first(xts, sectors, tweak, step)) return 0;
    for (size_t at = 0; at < sectors * sector;) {
      const size_t left = sectors * sector - at, part = left < BATCH ? left : BATCH;
      const uint8_t *first = xts->first + at / sector * 16;
      xts->lay(first, xts->tweaks, in + at, out + at, part, sector);
      if (EVP_Cipher(xts->data, out + at, out + at, (unsigned)part) <= 0) return 0;
      lay_again(xts->tweaks, out + at, part);
      at += part;
    }
    in += sectors * sector;
    out += sectors * sector;
    length -= sectors * sector;
    tweak += sectors * step;
  }
  return 1;
}
