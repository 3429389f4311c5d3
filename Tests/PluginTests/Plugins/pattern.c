/* A source stage: a disk of any size whose bytes are a counter. */
#include <drover_plugin.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pattern {
  uint64_t size;
};

static int fail(drover_error *error, const char *code, const char *message) {
  error->retry = DROVER_RETRY_NEVER;
  snprintf(error->domain, sizeof error->domain, "pattern");
  snprintf(error->code, sizeof error->code, "%s", code);
  snprintf(error->message, sizeof error->message, "%s", message);
  return -1;
}

/* Parameters are a JSON object; those of a manifest are strings: {"size":"1048576"}. A plugin with more than one of
 * them should use a JSON library. */
static int read_size(const drover_open *open, uint64_t *size, drover_error *error) {
  const char *at = strstr(open->params, "\"size\"");
  char *end = NULL;
  if (at != NULL) at = strchr(at, ':');
  if (at != NULL) at += strspn(at, ": \"");
  errno = 0;
  if (at != NULL) *size = strtoull(at, &end, 10);
  if (at == NULL || end == at || *at == '-' || errno != 0) return fail(error, "invalid", "parameter size is no number");
  return 0;
}

static int pattern_plan(const drover_stage *stage, const drover_host *host, const drover_open *open,
                        const drover_plan *below, drover_plan *plan, drover_error *error) {
  (void)stage, (void)host, (void)below;
  if (read_size(open, &plan->size, error) != 0) return -1;
  plan->data_size = plan->size;
  return 0;
}

static int pattern_open(const drover_stage *stage, const drover_host *host, const drover_open *open, void **handle,
                        drover_error *error) {
  (void)stage, (void)host;
  uint64_t size;
  if (read_size(open, &size, error) != 0) return -1;
  struct pattern *pattern = (struct pattern *)malloc(sizeof *pattern);
  if (pattern == NULL) return fail(error, "internal", "out of memory");
  pattern->size = size;
  *handle = pattern;
  return 0;
}

static int pattern_info(void *handle, drover_device_info *info, drover_error *error) {
  (void)error;
  const struct pattern *pattern = (const struct pattern *)handle;
  info->size = pattern->size;
  info->data_size = pattern->size;
  info->block_min = 1;
  info->identity = "pattern"; /* the same size gives the same bytes, so a copy can be continued */
  return 0;
}

/* Byte i of the disk is i modulo 251. */
static int64_t pattern_pread(void *handle, void *buffer, uint64_t length, uint64_t offset, drover_error *error) {
  (void)handle, (void)error;
  uint8_t *bytes = (uint8_t *)buffer;
  for (uint64_t i = 0; i < length; i++) bytes[i] = (uint8_t)((offset + i) % 251);
  return (int64_t)length;
}

static void pattern_close(void *handle) { free(handle); }

static const drover_device_ops pattern_device = {
    .struct_size = sizeof(drover_device_ops),
    .info = pattern_info,
    .pread = pattern_pread,
    .close = pattern_close,
};

static const drover_stage pattern_stage = {
    .struct_size = sizeof(drover_stage),
    .name = "pattern",
    .summary = "a disk whose bytes are a counter",
    .roles = DROVER_ROLE_SOURCE,
    .threads = DROVER_THREADS_PARALLEL, /* nothing is shared, so many reads may run at once */
    .params = "{\"size\":{\"required\":true,\"summary\":\"bytes, a multiple of 512\"}}",
    .plan = pattern_plan,
    .open = pattern_open,
    .device = &pattern_device,
};

static const drover_stage *const pattern_stages[] = {&pattern_stage};

static const drover_plugin pattern_plugin = {
    .struct_size = sizeof(drover_plugin),
    .abi_major = DROVER_PLUGIN_ABI_MAJOR,
    .abi_minor = DROVER_PLUGIN_ABI_MINOR,
    .stage_count = 1,
    .name = "pattern",
    .version = "1.0",
    .stages = pattern_stages,
};

const drover_plugin *drover_plugin_v1(void) { return &pattern_plugin; }
