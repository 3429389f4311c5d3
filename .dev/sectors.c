/* Measures Drover's AES-XTS over sectors of 512 bytes beside libcrypto's own over 16 KiB, in turns on one core, in CPU
 * time. Prints one line. Compiled and run by ./dev bench. */
#include "COpenSSL.h"

#include <stdio.h>
#include <time.h>

#define LENGTH (1u << 20)
#define ROUNDS 9

static unsigned char bytes[LENGTH] __attribute__((aligned(4096)));

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double best(double a, double b) { return a > b ? a : b; }

int main(void) {
  unsigned char key[64], start[16] = {0};
  for (int at = 0; at < 64; at++) key[at] = (unsigned char)(at * 7 + 1);
  for (size_t length = 32; length <= 64; length *= 2) {
    EVP_CIPHER_CTX *whole = EVP_CIPHER_CTX_new();
    if (EVP_CipherInit_ex(whole, length == 32 ? EVP_aes_128_xts() : EVP_aes_256_xts(), NULL, key, start, 1) != 1) return 1;
    struct copenssl_xts *sectors = copenssl_xts_new(key, length, 1, 0);
    if (sectors == NULL) return 1;
    double theirs = 0, ours = 0;
    for (int round = 0; round < ROUNDS; round++) {
      int done;
      double begin = seconds();
      for (int again = 0; again < 64; again++)
        for (unsigned at = 0; at < LENGTH; at += 16384) EVP_CipherUpdate(whole, bytes + at, &done, bytes + at, 16384);
      theirs = best(theirs, 64.0 * LENGTH / (seconds() - begin));
      begin = seconds();
      for (int again = 0; again < 64; again++) copenssl_xts_crypt(sectors, bytes, bytes, LENGTH, 512, 0, 1);
      ours = best(ours, 64.0 * LENGTH / (seconds() - begin));
    }
    printf("AES-%d-XTS, 512-byte sectors: %.2f GB/s a core, %.0f %% of libcrypto's own with 16 KiB\n",
           (int)length * 4, ours / 1e9, 100 * ours / theirs);
    copenssl_xts_free(sectors);
    EVP_CIPHER_CTX_free(whole);
  }
  return 0;
}
