/* A source that can be written as well: a file, in blocks of a size that the test says. What it does wrong, and counts, is
 * said by control. */
#define _GNU_SOURCE
#include <drover_plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct disk {
  int file;
  int writable;
  uint64_t size;
  uint32_t block;
  atomic_int full, broken, stuck, trims;
};

static int fail(drover_error *error, const char *code, const char *message) {
  snprintf(error->domain, sizeof error->domain, "disk");
  snprintf(error->code, sizeof error->code, "%s", code);
  snprintf(error->message, sizeof error->message, "%s", message);
  return -1;
}

static const char *param(const drover_open *open, const char *name) {
  char key[64];
  snprintf(key, sizeof key, "\"%s\"", name);
  const char *at = strstr(open->params, key);
  return at == NULL ? NULL : strchr(at + strlen(key), ':') + 1;
}

static int disk_open(const drover_stage *stage, const drover_host *host, const drover_open *open_, void **handle,
                     drover_error *error) {
  (void)stage, (void)host;
  char path[1024];
  const char *text = param(open_, "path");
  const char *block = param(open_, "block");
  if (text == NULL || block == NULL || sscanf(text, " \"%1000[^\"]", path) != 1)
    return fail(error, "invalid", "needs path and block");
  /* JSON writes a slash as \/ */
  char *to = path;
  for (const char *from = path; *from; from++)
    if (*from != '\\') *to++ = *from;
  *to = 0;
  struct disk *disk = calloc(1, sizeof *disk);
  struct stat status;
  disk->writable = open_->writable != 0;
  disk->block = (uint32_t)strtoul(block + strspn(block, " \""), NULL, 10);
  disk->file = open(path, (disk->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  if (disk->file < 0 || fstat(disk->file, &status) != 0) {
    free(disk);
    return fail(error, "not-found", path);
  }
  disk->size = (uint64_t)status.st_size;
  *handle = disk;
  return 0;
}

static int disk_info(void *handle, drover_device_info *info, drover_error *error) {
  (void)error;
  const struct disk *disk = handle;
  info->size = disk->size;
  info->data_size = disk->size;
  info->block_min = disk->block;
  info->flags = disk->writable ? DROVER_DEVICE_WRITABLE : 0;
  return 0;
}

static int check(struct disk *disk, uint64_t length, uint64_t offset, drover_error *error) {
  while (disk->stuck) usleep(10000);
  if (offset % disk->block != 0 || (length % disk->block != 0 && offset + length != disk->size))
    return fail(error, "internal", "not whole blocks");
  return 0;
}

static int64_t disk_pread(void *handle, void *buffer, uint64_t length, uint64_t offset, drover_error *error) {
  struct disk *disk = handle;
  if (check(disk, length, offset, error) != 0) return -1;
  int64_t count = pread(disk->file, buffer, length, (off_t)offset);
  return count < 0 ? fail(error, "io", strerror(errno)) : count;
}

static int disk_pwrite(void *handle, const void *buffer, uint64_t length, uint64_t offset, drover_error *error) {
  struct disk *disk = handle;
  if (check(disk, length, offset, error) != 0) return -1;
  if (disk->full) return fail(error, "no-space", "the disk is full");
  return pwrite(disk->file, buffer, length, (off_t)offset) == (ssize_t)length ? 0
                                                                               : fail(error, "io", strerror(errno));
}

static int disk_zero(void *handle, uint64_t offset, uint64_t length, drover_error *error) {
  static const char zeros[65536];
  while (length > 0) {
    uint64_t count = length < sizeof zeros ? length : sizeof zeros;
    if (disk_pwrite(handle, zeros, count, offset, error) != 0) return -1;
    offset += count;
    length -= count;
  }
  return 0;
}

static int disk_flush(void *handle, drover_error *error) {
  struct disk *disk = handle;
  if (disk->broken) return fail(error, "io", "the disk is broken");
  return fdatasync(disk->file) == 0 ? 0 : fail(error, "io", strerror(errno));
}

static int disk_trim(void *handle, uint64_t offset, uint64_t length, drover_error *error) {
  struct disk *disk = handle;
  if (check(disk, length, offset, error) != 0) return -1;
  disk->trims++;
  return disk_zero(handle, offset, length, error);
}

static int disk_control(void *handle, const char *verb, const char *json, drover_reply reply, void *context,
                        drover_error *error) {
  struct disk *disk = handle;
  if (strcmp(verb, "set") == 0) {
    disk->full = strstr(json, "\"full\":true") != NULL;
    disk->broken = strstr(json, "\"broken\":true") != NULL;
    disk->stuck = strstr(json, "\"stuck\":true") != NULL;
    reply(context, "{}");
    return 0;
  }
  if (strcmp(verb, "count") == 0) {
    char answer[64];
    snprintf(answer, sizeof answer, "{\"trims\":%d}", (int)disk->trims);
    reply(context, answer);
    return 0;
  }
  if (strcmp(verb, "mute") == 0) return 0;
  return fail(error, "not-supported", "what is that?");
}

static void disk_close(void *handle) {
  close(((struct disk *)handle)->file);
  free(handle);
}

static const drover_device_ops disk_device = {
    .struct_size = sizeof(drover_device_ops),
    .info = disk_info,
    .pread = disk_pread,
    .pwrite = disk_pwrite,
    .zero = disk_zero,
    .flush = disk_flush,
    .control = disk_control,
    .close = disk_close,
    .trim = disk_trim,
};

static const drover_stage disk_stage = {
    .struct_size = sizeof(drover_stage),
    .name = "disk",
    .summary = "a file that can be written",
    .roles = DROVER_ROLE_SOURCE,
    .threads = DROVER_THREADS_PARALLEL,
    .open = disk_open,
    .device = &disk_device,
};

static const drover_stage *const disk_stages[] = {&disk_stage};

static const drover_plugin disk_plugin = {
    .struct_size = sizeof(drover_plugin),
    .abi_major = DROVER_PLUGIN_ABI_MAJOR,
    .abi_minor = DROVER_PLUGIN_ABI_MINOR,
    .stage_count = 1,
    .name = "disk",
    .version = "1.0",
    .stages = disk_stages,
};

const drover_plugin *drover_plugin_v1(void) { return &disk_plugin; }
