#include "CCryptsetup.h"

#include <string.h>

#define SECTOR 512u
#define MILLISECONDS 2000u

static void ignore(int level, const char *message, void *context) {
  (void)level;
  (void)message;
  (void)context;
}

int ccryptsetup_open(struct crypt_device **device, const char *path, ccryptsetup_log log, void *context) {
  /* Without one, what is said before the device is there goes to the standard streams. */
  crypt_set_log_callback(NULL, ignore, NULL);
  int answer = crypt_init(device, path);
  if (answer < 0) return answer;
  crypt_set_log_callback(*device, log, context);
  answer = crypt_metadata_locking(*device, 0);
  if (answer < 0) {
    crypt_free(*device);
    *device = NULL;
  }
  return answer;
}

static int is_argon(const char *type) { return strcmp(type, CRYPT_KDF_PBKDF2) != 0; }

int ccryptsetup_set_pbkdf(struct crypt_device *device, const char *type, const char *hash, uint32_t iterations,
                          uint32_t memory) {
  const struct crypt_pbkdf_type *usual = crypt_get_pbkdf_type_params(type);
  if (usual == NULL) return -22;
  struct crypt_pbkdf_type chosen = *usual;
  chosen.type = type;
  chosen.hash = hash;
  chosen.max_memory_kb = is_argon(type) ? memory : 0;
  chosen.iterations = iterations;
  chosen.time_ms = iterations ? 0 : MILLISECONDS;
  chosen.flags = iterations ? CRYPT_PBKDF_NO_BENCHMARK : 0;
  return crypt_set_pbkdf_type(device, &chosen);
}

int ccryptsetup_format(struct crypt_device *device, const char *cipher, const char *mode, const char *key,
                       size_t key_length) {
  struct crypt_params_luks2 params = {.sector_size = SECTOR};
  return crypt_format(device, CRYPT_LUKS2, cipher, mode, NULL, key, key_length, &params);
}

uint32_t ccryptsetup_default_memory(void) {
  const struct crypt_pbkdf_type *usual = crypt_get_pbkdf_type_params(CRYPT_KDF_ARGON2I);
  return usual ? usual->max_memory_kb : 0;
}
