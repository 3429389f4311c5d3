/* A filter stage: every byte is changed by the same key, on the way in and on the way out. */
#include <drover_plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct xor_filter {
  const drover_device *lower;
  uint8_t key;
};

static int fail(drover_error *error, const char *code, const char *message) {
  error->retry = DROVER_RETRY_NEVER;
  snprintf(error->domain, sizeof error->domain, "xor");
  snprintf(error->code, sizeof error->code, "%s", code);
  snprintf(error->message, sizeof error->message, "%s", message);
  return -1;
}

static int xor_open(const drover_stage *stage, const drover_host *host, const drover_open *open, void **handle,
                    drover_error *error) {
  (void)stage;
  const char *at = strstr(open->params, "\"key\"");
  if (at != NULL) at = strchr(at, ':');
  unsigned long key = at == NULL ? 0 : strtoul(at + 1 + strspn(at + 1, " \""), NULL, 0);
  if (key < 1 || key > 255) return fail(error, "invalid", "parameter key is no number from 1 to 255");
  if (open->lower == NULL) return fail(error, "internal", "there is no device below");
  struct xor_filter *filter = (struct xor_filter *)malloc(sizeof *filter);
  if (filter == NULL) return fail(error, "internal", "out of memory");
  filter->lower = open->lower; /* stays valid until close */
  filter->key = (uint8_t)key;
  host->log(host->context, DROVER_LOG_DEBUG, "xor is open");
  *handle = filter;
  return 0;
}

/* As many bytes as below, all of them data, and none of them as they lie in the file below. */
static int xor_plan(const drover_stage *stage, const drover_host *host, const drover_open *open,
                    const drover_plan *below, drover_plan *plan, drover_error *error) {
  (void)stage, (void)host, (void)open, (void)error;
  plan->size = below == NULL ? UINT64_MAX : below->size;
  plan->data_size = plan->size;
  return 0;
}

/* As below, but what is known about the content below is not known of this. */
static int xor_info(void *handle, drover_device_info *info, drover_error *error) {
  const struct xor_filter *filter = (const struct xor_filter *)handle;
  if (filter->lower->ops->info(filter->lower->handle, info, error) != 0) return -1;
  info->flags &= DROVER_DEVICE_WRITABLE | DROVER_DEVICE_SEQUENTIAL;
  info->data_size = info->size;
  info->identity = NULL;
  info->sha512 = NULL;
  info->block_hashes = NULL;
  info->block_hash_count = 0;
  return 0;
}

static void apply(uint8_t key, uint8_t *bytes, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) bytes[i] ^= key;
}

static int64_t xor_pread(void *handle, void *buffer, uint64_t length, uint64_t offset, drover_error *error) {
  const struct xor_filter *filter = (const struct xor_filter *)handle;
  int64_t count = filter->lower->ops->pread(filter->lower->handle, buffer, length, offset, error);
  if (count > 0) apply(filter->key, (uint8_t *)buffer, (uint64_t)count);
  return count;
}

/* Bytes that are written must not be changed where they lie: the host may go on using them. */
static int write_piecewise(const struct xor_filter *filter, const uint8_t *bytes, uint64_t length, uint64_t offset,
                           drover_error *error) {
  uint8_t piece[4096];
  while (length > 0) {
    uint64_t count = length < sizeof piece ? length : sizeof piece;
    if (bytes != NULL)
      memcpy(piece, bytes, (size_t)count);
    else
      memset(piece, 0, (size_t)count);
    apply(filter->key, piece, count);
    if (filter->lower->ops->pwrite(filter->lower->handle, piece, count, offset, error) != 0) return -1;
    if (bytes != NULL) bytes += count;
    offset += count;
    length -= count;
  }
  return 0;
}

static int xor_pwrite(void *handle, const void *buffer, uint64_t length, uint64_t offset, drover_error *error) {
  return write_piecewise((const struct xor_filter *)handle, (const uint8_t *)buffer, length, offset, error);
}

static int xor_zero(void *handle, uint64_t offset, uint64_t length, drover_error *error) {
  return write_piecewise((const struct xor_filter *)handle, NULL, length, offset, error);
}

static int xor_flush(void *handle, drover_error *error) {
  const struct xor_filter *filter = (const struct xor_filter *)handle;
  return filter->lower->ops->flush(filter->lower->handle, error);
}

static void xor_close(void *handle) { free(handle); }

static const drover_device_ops xor_device = {
    .struct_size = sizeof(drover_device_ops),
    .info = xor_info,
    .pread = xor_pread,
    .pwrite = xor_pwrite,
    .zero = xor_zero,
    .flush = xor_flush,
    .close = xor_close,
};

static const drover_stage xor_stage = {
    .struct_size = sizeof(drover_stage),
    .name = "xor",
    .summary = "changes every byte by a key",
    .roles = DROVER_ROLE_FILTER,
    .threads = DROVER_THREADS_PARALLEL,
    .params = "{\"key\":{\"required\":true,\"summary\":\"a number from 1 to 255\"}}",
    .plan = xor_plan,
    .open = xor_open,
    .device = &xor_device,
};

static const drover_stage *const xor_stages[] = {&xor_stage};

static const drover_plugin xor_plugin = {
    .struct_size = sizeof(drover_plugin),
    .abi_major = DROVER_PLUGIN_ABI_MAJOR,
    .abi_minor = DROVER_PLUGIN_ABI_MINOR,
    .stage_count = 1,
    .name = "xor",
    .version = "1.0",
    .stages = xor_stages,
};

const drover_plugin *drover_plugin_v1(void) { return &xor_plugin; }
