/* A stage that behaves until one of its calls is told to do harm: {"in": CALL, "do": HARM}. As a source it is a disk of
 * "size" bytes; as a sink it swallows what comes, and with "path" makes a file of it. */
#define _GNU_SOURCE
#include <drover_plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef HOSTILE_NAME
#define HOSTILE_NAME "hostile"
#endif

struct hostile {
  const drover_host *host;
  const drover_open *open;
  char in[32], harm[32];
  uint64_t size;
};

/* Values of a flat JSON object of strings; good enough for a test's own parameters. */
static void parameter(const char *params, const char *name, char *value, size_t room) {
  char quoted[64];
  value[0] = 0;
  snprintf(quoted, sizeof quoted, "\"%s\"", name);
  const char *at = strstr(params, quoted);
  if (at == NULL || (at = strchr(at + strlen(quoted), '"')) == NULL) return;
  size_t length = strcspn(at + 1, "\"");
  if (length >= room) length = room - 1;
  memcpy(value, at + 1, length);
  value[length] = 0;
}

static void read_open(struct hostile *self, const drover_host *host, const drover_open *open) {
  char size[32];
  self->host = host;
  self->open = open;
  parameter(open->params, "in", self->in, sizeof self->in);
  parameter(open->params, "do", self->harm, sizeof self->harm);
  parameter(open->params, "size", size, sizeof size);
  self->size = strtoull(size, NULL, 10);
}

static void *spin_on(void *unused) {
  (void)unused;
  for (;;) usleep(1000);
  return NULL;
}

static void hang(void) {
  for (;;) pause();
}

static int overflow(volatile int depth) {
  volatile char room[4096];
  if (depth < 0) return 0;
  room[0] = (char)depth;
  return overflow(depth + 1) + room[0];
}

static void abuse_host(const drover_host *host) {
  static char text[1 << 20];
  memset(text, 'x', sizeof text - 1);
  host->log(NULL, 77, NULL);
  host->log(host->context, 77, NULL);
  host->log(host->context, 0xffffffffu, text);
  host->log(host->context, 1, "\xff\xfe\x80 \x1b[2J");
  host->phase(host->context, NULL, NULL);
  host->phase(host->context, text, text);
  host->phase(host->context, "\xff", "\xc0\x80");
  host->progress(host->context, UINT64_MAX, 0);
  host->progress(NULL, 0, UINT64_MAX);
  host->cancelled(NULL);
  host->emit(NULL, NULL, NULL);
}

static int spawn_one(void) {
  pid_t child = fork();
  if (child < 0) child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) {
    sleep(300);
    _exit(0);
  }
  return child < 0 ? -1 : 0;
}

/* The answer of the call if it is to differ from `usual`. */
static int64_t harm(const struct hostile *self, const char *call, int64_t usual, drover_error *error) {
  if (strcmp(self->in, call) != 0) return usual;
  const char *what = self->harm;
  if (strcmp(what, "segv") == 0) *(volatile int *)0 = 1;
  if (strcmp(what, "abort") == 0) abort();
  if (strcmp(what, "exit") == 0) exit(0);
  if (strcmp(what, "_exit") == 0) _exit(0);
  if (strcmp(what, "kill") == 0) kill(getpid(), SIGKILL);
  if (strcmp(what, "term") == 0) {
    raise(SIGTERM);
    hang();
  }
  if (strcmp(what, "overflow") == 0) return overflow(0);
  if (strcmp(what, "hang") == 0) hang();
  if (strcmp(what, "negative") == 0) return -77;
  if (strcmp(what, "positive") == 0) return 5;
  if (strcmp(what, "more") == 0) return usual + 1;
  if (strcmp(what, "huge") == 0) return INT64_MAX;
  if (strcmp(what, "garbage") == 0 && error != NULL) {
    memset((char *)error + sizeof error->struct_size, 0xee, sizeof *error - sizeof error->struct_size);
    return -1;
  }
  if (strcmp(what, "escape") == 0 && error != NULL) {
    strcpy(error->code, "\x1b[31m No Code");
    strcpy(error->message, "\x1b[2J\x07 gone");
    return -1;
  }
  if (strcmp(what, "channel") == 0) {
    static const char noise[] = "\x01\x00\x00\x00\x01{\"finished\":{}}";
    for (int descriptor = 0; descriptor < 3; descriptor++)
      if (write(descriptor, noise, sizeof noise) < 0) errno = 0;
  }
  if (strcmp(what, "close") == 0) close(0), close(1), close(2);
  if (strcmp(what, "close-all") == 0)
    for (int descriptor = 0; descriptor < 2048; descriptor++) close(descriptor);
  if (strcmp(what, "fork") == 0 && spawn_one() != 0) {
    strcpy(error->code, "no-processes");
    snprintf(error->message, sizeof error->message, "could not start a process: %s", strerror(errno));
    return -1;
  }
  if (strcmp(what, "exec") == 0) {
    execl("/bin/true", "true", (char *)0);
    strcpy(error->code, "no-programs");
    snprintf(error->message, sizeof error->message, "could not run a program: %s", strerror(errno));
    return -1;
  }
  if (strcmp(what, "threads") == 0)
    for (int count = 0; count < 8; count++) {
      pthread_t thread;
      if (pthread_create(&thread, NULL, spin_on, NULL) == 0) pthread_detach(thread);
    }
  if (strcmp(what, "signals") == 0)
    for (int number = 1; number < 32; number++) signal(number, SIG_IGN);
  if (strcmp(what, "host") == 0) abuse_host(self->host);
  if (strcmp(what, "leak") == 0 && open("/dev/null", O_RDONLY) < 0) return -1;
  if (strcmp(what, "chdir") == 0 && chdir("/usr") != 0) return -1;
  if (strcmp(what, "touch") == 0) {
    char path[4096];
    snprintf(path, sizeof path, "%s/hostile.mark", self->open->job_folder);
    close(creat(path, 0600));
  }
  if (strcmp(what, "emit") == 0) self->host->emit(self->host->context, "result", "[\"no object\"");
  if (strcmp(what, "memory") == 0) {
    while (malloc(64 << 20) != NULL) continue;
    strcpy(error->code, "no-memory");
    strcpy(error->message, "out of memory");
    return -1;
  }
  if (strcmp(what, "descriptors") == 0)
    while (open("/dev/null", O_RDONLY) >= 0) continue;
  return usual;
}

static int hostile_plan(const drover_stage *stage, const drover_host *host, const drover_open *open,
                        const drover_plan *below, drover_plan *plan, drover_error *error) {
  (void)stage, (void)below;
  struct hostile self;
  read_open(&self, host, open);
  plan->size = self.size;
  return (int)harm(&self, "plan", 0, error);
}

static int hostile_open(const drover_stage *stage, const drover_host *host, const drover_open *open, void **handle,
                        drover_error *error) {
  (void)stage;
  struct hostile *self = (struct hostile *)malloc(sizeof *self);
  read_open(self, host, open);
  *handle = self;
  return (int)harm(self, "open", 0, error);
}

static int hostile_info(void *handle, drover_device_info *info, drover_error *error) {
  struct hostile *self = (struct hostile *)handle;
  if (self->open->lower != NULL) return self->open->lower->ops->info(self->open->lower->handle, info, error);
  info->size = self->open->writable ? DROVER_SIZE_UNKNOWN : self->size;
  info->data_size = info->size;
  info->block_min = 1;
  info->block_preferred = 65536;
  info->flags = self->open->writable ? DROVER_DEVICE_WRITABLE : 0;
  info->identity = "hostile";
  if (strcmp(self->in, "info") == 0 && strcmp(self->harm, "lie") == 0) info->size = info->data_size = self->size * 2;
  return (int)harm(self, "info", 0, error);
}

static int64_t hostile_extents(void *handle, uint64_t offset, uint64_t length, drover_extent *extents,
                               uint32_t capacity, drover_error *error) {
  struct hostile *self = (struct hostile *)handle;
  (void)capacity;
  extents[0].offset = offset;
  extents[0].length = length;
  extents[0].type = DROVER_EXTENT_DATA;
  if (strcmp(self->in, "extents") == 0 && strcmp(self->harm, "lie") == 0) extents[0].type = 99;
  if (strcmp(self->in, "extents") == 0 && strcmp(self->harm, "zeros") == 0) extents[0].type = DROVER_EXTENT_ZERO;
  return harm(self, "extents", 1, error);
}

static int64_t hostile_pread(void *handle, void *buffer, uint64_t length, uint64_t offset, drover_error *error) {
  struct hostile *self = (struct hostile *)handle;
  if (offset >= self->size) return 0;
  memset(buffer, 7, length);
  return harm(self, "pread", (int64_t)length, error);
}

static int hostile_pwrite(void *handle, const void *buffer, uint64_t length, uint64_t offset, drover_error *error) {
  (void)buffer, (void)length, (void)offset;
  return (int)harm((struct hostile *)handle, "pwrite", 0, error);
}

static int hostile_zero(void *handle, uint64_t offset, uint64_t length, drover_error *error) {
  (void)length, (void)offset;
  return (int)harm((struct hostile *)handle, "zero", 0, error);
}

static int hostile_flush(void *handle, drover_error *error) {
  return (int)harm((struct hostile *)handle, "flush", 0, error);
}

static int hostile_file_range(void *handle, uint64_t offset, uint64_t length, int *fd, uint64_t *fd_offset,
                              drover_error *error) {
  struct hostile *self = (struct hostile *)handle;
  (void)length;
  if (strcmp(self->in, "file_range") != 0) {
    strcpy(error->code, "not-offered");
    return -1;
  }
  *fd_offset = offset;
  *fd = strcmp(self->harm, "null") == 0 ? open("/dev/null", O_RDWR) : strcmp(self->harm, "standard") == 0 ? 2 : 9999;
  return (int)harm(self, "file_range", 0, error);
}

static int64_t hostile_checkpoint(void *handle, uint64_t offset, void *token, size_t capacity, drover_error *error) {
  struct hostile *self = (struct hostile *)handle;
  (void)offset, (void)capacity;
  memset(token, 1, 4);
  return harm(self, "checkpoint", 4, error);
}

static int hostile_commit(void *handle, const drover_commit *commit, drover_error *error) {
  (void)commit;
  return (int)harm((struct hostile *)handle, "commit", 0, error);
}

static void hostile_close(void *handle) {
  drover_error ignored;
  harm((struct hostile *)handle, "close", 0, &ignored);
  free(handle);
}

static int hostile_run(const drover_stage *stage, const drover_host *host, const drover_open *open,
                       drover_error *error) {
  (void)stage;
  struct hostile self;
  read_open(&self, host, open);
  return (int)harm(&self, "run", 0, error);
}

static int hostile_discard(const drover_stage *stage, const drover_host *host, const drover_open *open,
                           drover_error *error) {
  (void)stage;
  struct hostile self;
  read_open(&self, host, open);
  return (int)harm(&self, "discard", 0, error);
}

static const drover_device_ops hostile_device = {
    .struct_size = sizeof(drover_device_ops),
    .info = hostile_info,
    .extents = hostile_extents,
    .pread = hostile_pread,
    .pwrite = hostile_pwrite,
    .zero = hostile_zero,
    .flush = hostile_flush,
    .file_range = hostile_file_range,
    .checkpoint = hostile_checkpoint,
    .commit = hostile_commit,
    .close = hostile_close,
};

static const drover_stage hostile_stage = {
    .struct_size = sizeof(drover_stage),
    .name = HOSTILE_NAME,
    .summary = "does harm",
    .roles = DROVER_ROLE_SOURCE | DROVER_ROLE_SINK | DROVER_ROLE_TASK,
    .threads = DROVER_THREADS_PARALLEL,
    .plan = hostile_plan,
    .open = hostile_open,
    .device = &hostile_device,
    .run = hostile_run,
    .discard = hostile_discard,
};

static const drover_stage *const hostile_stages[] = {&hostile_stage};

static const drover_plugin hostile_plugin = {
    .struct_size = sizeof(drover_plugin),
    .abi_major = DROVER_PLUGIN_ABI_MAJOR,
    .abi_minor = DROVER_PLUGIN_ABI_MINOR,
    .stage_count = 1,
    .name = HOSTILE_NAME,
    .version = "6.6",
    .stages = hostile_stages,
};

#ifdef HOSTILE_CONSTRUCTOR
__attribute__((constructor)) static void harm_early(void) { HOSTILE_CONSTRUCTOR; }
#endif

const drover_plugin *drover_plugin_v1(void) {
#ifdef HOSTILE_ENTRY
  HOSTILE_ENTRY;
#endif
  return &hostile_plugin;
}
