/* Preloaded into a program: the nth call that changes a file fails with EIO, or ends the program as a power cut would.
 * DROVER_FAULT_CALL: n, from 1. DROVER_FAULT_KILL: set to end the program. DROVER_FAULT_MARK: a file that is made then. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;

/* 1: this call must fail. */
static int due(void) {
  const char *wanted = getenv("DROVER_FAULT_CALL");
  const char *mark = getenv("DROVER_FAULT_MARK");
  if (wanted == NULL || atomic_fetch_add(&calls, 1) + 1 != atol(wanted)) return 0;
  if (mark != NULL) close(creat(mark, 0600));
  if (getenv("DROVER_FAULT_KILL") != NULL) raise(SIGKILL);
  errno = EIO;
  return 1;
}

#define WRAP(type, name, parameters, arguments)                 \
  type name parameters {                                        \
    static type(*next) parameters;                              \
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, #name); \
    return due() ? -1 : next arguments;                         \
  }

WRAP(ssize_t, pwrite, (int fd, const void *bytes, size_t count, off_t offset), (fd, bytes, count, offset))
WRAP(ssize_t, copy_file_range, (int in, off64_t *from, int out, off64_t *to, size_t count, unsigned flags),
     (in, from, out, to, count, flags))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, ftruncate, (int fd, off_t size), (fd, size))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, renameat2, (int fromdir, const char *from, int todir, const char *to, unsigned flags),
     (fromdir, from, todir, to, flags))
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(int, unlink, (const char *path), (path))
