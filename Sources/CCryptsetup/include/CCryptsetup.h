#pragma once

#include <libcryptsetup.h>

/* Receives one message of the library; `level` is one of CRYPT_LOG_*. */
typedef void (*ccryptsetup_log)(int level, const char *message, void *context);

/* crypt_init of the file at `path`, with all messages to `log`, none to the standard streams, and without locks of the
 * metadata, which nobody else can see. */
int ccryptsetup_open(struct crypt_device **device, const char *path, ccryptsetup_log log, void *context);

/* crypt_set_pbkdf_type. `iterations` of 0 are measured, so that they take two seconds; `memory` is KiB and 0 for
 * pbkdf2. */
int ccryptsetup_set_pbkdf(struct crypt_device *device, const char *type, const char *hash, uint32_t iterations,
                          uint32_t memory);

/* crypt_format of LUKS2 with this volume key and sectors of 512 bytes; the hash is that of the derivation set before. */
int ccryptsetup_format(struct crypt_device *device, const char *cipher, const char *mode, const char *key,
                       size_t key_length);

/* What cryptsetup takes where nobody says: KiB of memory for argon2. */
uint32_t ccryptsetup_default_memory(void);
