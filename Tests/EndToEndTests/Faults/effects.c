// Preloaded into a program under test: counts what it persists, and makes it die or fail at a chosen step.
//
// A persisted effect is a call that changes a file or folder below EFFECTS_ROOT, or makes a change durable: open with
// O_CREAT, mkdir, rename, unlink, rmdir, truncate, fallocate, write, reflink, copy, fsync, fdatasync. Logs do not count.
// Each effect is a line of EFFECTS_TRACE:
//
//     monotonic-nanoseconds pid role number call path
//
// EFFECTS_PLAN is a folder; its file `plan` holds one line a fault:
//
//     id after role number how pattern
//
// A fault is armed in a process of its role once the fault `after` (0: none) has fired in another process, and if the
// first command that the process was sent contains each part of `pattern`, which `|` separates (`*`: whatever it was).
// It fires at the effect with that number, once over all processes: `fired-ID` is made in the folder first. What happens
// is `how`:
//
//     kill        the process is killed before the effect
//     kill-after  ... after it
//     kill-both   its parent first, then it, before the effect
//     kill-parent only its parent, before the effect; it goes on
//     stop        it is stopped (SIGSTOP) before the effect
//     fail-N      the effect fails with errno N
//     sink-N      this and every later effect of this process fails with errno N
//     tear        a write writes half, then the process is killed
// and, counted in reads of files below the root instead of effects:
//     read-N      the read fails with errno N
// counted in processes that it starts:
//     spawn-N     the start fails with errno N
// A process of the role `policy` persists nothing: each part of a frame that it has received or is about to send counts.
//
// A negative number counts from the first write that has `pattern` among its bytes, which is -1.
//
// Neither counted nor done once only: `short` has every read and write of a file move half of what it was asked for, at most.
//
// EFFECTS_SPEED is how much faster the boot-time clock runs.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { longest_order = 1 << 18, most_armed = 64 };

struct fault {
  int id, after;
  long number;
  char how[16];
  // Where the number counts from a write: what the write has among its bytes, and the number of the effect before it.
  char pattern[2048];
  atomic_long anchor;
};

static const char *root, *role, *folder;
static int trace = -1, speed = 1;
static char order[longest_order];
static size_t order_length;
static struct fault *armed[most_armed];
static int armed_count;
static atomic_long effects, reads, starts;
static atomic_int sunk, is_short, is_armed;
static pthread_once_t armed_once = PTHREAD_ONCE_INIT;

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  root = getenv("EFFECTS_ROOT");
  role = getenv("EFFECTS_ROLE");
  folder = getenv("EFFECTS_PLAN");
  const char *file = getenv("EFFECTS_TRACE"), *rate = getenv("EFFECTS_SPEED");
  if (rate) speed = atoi(rate) > 0 ? atoi(rate) : 1;
  if (!root || !role || !file) return;
  int descriptor = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor >= 0) {
    trace = fcntl(descriptor, F_DUPFD_CLOEXEC, 900);
    if (trace < 0) trace = descriptor; else syscall(SYS_close, descriptor);
  }
}

static int has_fired(int id) {
  char path[4096];
  snprintf(path, sizeof path, "%s/fired-%d", folder, id);
  return syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
}

static int fires(int id) {
  char path[4096];
  snprintf(path, sizeof path, "%s/fired-%d", folder, id);
  int mark = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (mark < 0) return 0;
  syscall(SYS_close, mark);
  return 1;
}

static int fits(const char *pattern) {
  if (strcmp(pattern, "*") == 0) return 1;
  while (*pattern) {
    size_t length = strcspn(pattern, "|");
    if (!memmem(order, order_length, pattern, length)) return 0;
    pattern += length + (pattern[length] == '|');
  }
  return 1;
}

// At the first effect: by then the whole first command was read.
static void arm(void) {
  atomic_store(&is_armed, 1);
  if (!folder || !role) return;
  char path[4096], line[4096], of[16], pattern[2048];
  snprintf(path, sizeof path, "%s/plan", folder);
  int descriptor = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (descriptor < 0) return;
  FILE *plan = fdopen(descriptor, "r");
  while (plan && armed_count < most_armed && fgets(line, sizeof line, plan)) {
    struct fault one = {0};
    if (sscanf(line, "%d %d %15s %ld %15s %2047[^\n]", &one.id, &one.after, of, &one.number, one.how, pattern) != 6)
      continue;
    if (strcmp(of, role) != 0 || has_fired(one.id) || (one.after && !has_fired(one.after))) continue;
    if (one.number > 0 && !fits(pattern)) continue;
    struct fault *kept = calloc(1, sizeof *kept);
    kept->id = one.id, kept->after = one.after, kept->number = one.number;
    strcpy(kept->how, one.how);
    snprintf(kept->pattern, sizeof kept->pattern, "%s", pattern);
    armed[armed_count++] = kept;
    if (strcmp(kept->how, "short") == 0) atomic_store(&is_short, 1);
  }
  if (plan) fclose(plan);
}

static int is_counted(const char *path) {
  if (!root || !path) return 0;
  size_t length = strlen(root);
  if (strncmp(path, root, length) != 0) return 0;
  const char *end = strrchr(path, '/');
  return !(end && (strcmp(end, "/log") == 0 || strstr(end, ".sock") || strcmp(end, "/lock") == 0));
}

static const char *path_of(int descriptor, char *buffer, size_t size) {
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, size - 1);
  if (length <= 0) return NULL;
  buffer[length] = 0;
  return buffer;
}

static const char *absolute(const char *path, char *buffer, size_t size) {
  if (path[0] == '/') return path;
  if (!getcwd(buffer, size)) return path;
  size_t length = strlen(buffer);
  snprintf(buffer + length, size - length, "/%s", path);
  return buffer;
}

enum verdict { go_on, fail, die_after, tear };

static enum verdict step(const char *call, const char *path) {
  if (!is_counted(path)) return go_on;
  int kept = errno;
  pthread_once(&armed_once, arm);
  long number = atomic_fetch_add(&effects, 1) + 1;
  if (trace >= 0) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    char line[4400];
    int length = snprintf(
        line, sizeof line, "%lld %d %s %ld %s %s\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec, getpid(), role,
        number, call, path);
    if (length > 0) syscall(SYS_write, trace, line, length);
  }
  if (atomic_load(&sunk)) {
    errno = atomic_load(&sunk);
    return fail;
  }
  for (int i = 0; i < armed_count; i++) {
    const char *how = armed[i]->how;
    long anchor = atomic_load(&armed[i]->anchor);
    if (armed[i]->number < 0 ? !anchor || anchor - 1 - armed[i]->number != number : armed[i]->number != number) continue;
    if (strncmp(how, "read-", 5) == 0 || strncmp(how, "spawn-", 6) == 0 ||
        strcmp(how, "short") == 0)
      continue;
    if (!fires(armed[i]->id)) continue;
    if (strcmp(how, "kill") == 0) syscall(SYS_kill, getpid(), SIGKILL);
    if (strcmp(how, "kill-both") == 0) {
      syscall(SYS_kill, getppid(), SIGKILL);
      syscall(SYS_kill, getpid(), SIGKILL);
    }
    if (strcmp(how, "kill-parent") == 0) syscall(SYS_kill, getppid(), SIGKILL);
    if (strcmp(how, "stop") == 0) syscall(SYS_kill, getpid(), SIGSTOP);
    if (strcmp(how, "kill-after") == 0) return die_after;
    if (strcmp(how, "tear") == 0) return tear;
    if (strncmp(how, "fail-", 5) == 0 || strncmp(how, "sink-", 5) == 0) {
      if (how[0] == 's') atomic_store(&sunk, atoi(how + 5));
      errno = atoi(how + 5);
      return fail;
    }
  }
  errno = kept;
  return go_on;
}

#define EFFECT(call, path, action) \
  do { \
    enum verdict verdict = step(call, path); \
    if (verdict == fail) return -1; \
    __typeof__(action) answer = (action); \
    if (verdict == die_after || verdict == tear) syscall(SYS_kill, getpid(), SIGKILL); \
    return answer; \
  } while (0)

#define EFFECT_ON(call, descriptor, action) \
  do { \
    char buffer[4096]; \
    const char *path = root ? path_of(descriptor, buffer, sizeof buffer) : NULL; \
    EFFECT(call, path, action); \
  } while (0)

static int open_counted(int at, const char *path, int flags, mode_t mode) {
  char buffer[4096];
  if (flags & O_CREAT && root) {
    const char *whole = at == AT_FDCWD ? absolute(path, buffer, sizeof buffer) : path;
    struct stat found;
    // Opening what is there already changes nothing.
    if ((flags & O_EXCL) || syscall(SYS_newfstatat, at, path, &found, 0) != 0)
      EFFECT("create", whole, (int)syscall(SYS_openat, at, path, flags, mode));
  }
  return (int)syscall(SYS_openat, at, path, flags, mode);
}

#define MODE(flags) \
  mode_t mode = 0; \
  if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, mode_t); \
    va_end(rest); \
  }

int open(const char *path, int flags, ...) {
  MODE(flags)
  return open_counted(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  MODE(flags)
  return open_counted(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...) {
  MODE(flags)
  return open_counted(at, path, flags, mode);
}

int mkdir(const char *path, mode_t mode) {
  char buffer[4096];
  struct stat found;
  if (root && syscall(SYS_newfstatat, AT_FDCWD, path, &found, 0) != 0)
    EFFECT("mkdir", absolute(path, buffer, sizeof buffer), (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode));
  return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int rename(const char *from, const char *to) {
  EFFECT("rename", to, (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
  EFFECT("rename", to, (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags));
}

int unlink(const char *path) {
  struct stat found;
  if (root && syscall(SYS_newfstatat, AT_FDCWD, path, &found, AT_SYMLINK_NOFOLLOW) == 0)
    EFFECT("unlink", path, (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0));
  return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int rmdir(const char *path) { EFFECT("rmdir", path, (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR)); }

int ftruncate(int descriptor, off_t size) {
  EFFECT_ON("truncate", descriptor, (int)syscall(SYS_ftruncate, descriptor, size));
}

int ftruncate64(int descriptor, off64_t size) {
  EFFECT_ON("truncate", descriptor, (int)syscall(SYS_ftruncate, descriptor, size));
}

int fallocate(int descriptor, int mode, off_t offset, off_t length) {
  EFFECT_ON("fallocate", descriptor, (int)syscall(SYS_fallocate, descriptor, mode, offset, length));
}

int fsync(int descriptor) { EFFECT_ON("fsync", descriptor, (int)syscall(SYS_fsync, descriptor)); }

int fdatasync(int descriptor) { EFFECT_ON("fdatasync", descriptor, (int)syscall(SYS_fdatasync, descriptor)); }

static void find_anchors(const char *path, const void *bytes, size_t count) {
  if (!is_counted(path)) return;
  pthread_once(&armed_once, arm);
  for (int i = 0; i < armed_count; i++)
    if (armed[i]->number < 0 && !atomic_load(&armed[i]->anchor) &&
        memmem(bytes, count, armed[i]->pattern, strlen(armed[i]->pattern)))
      atomic_store(&armed[i]->anchor, atomic_load(&effects) + 1);
}

static ssize_t write_counted(int descriptor, const void *bytes, size_t count, off_t offset) {
  char buffer[4096];
  const char *path = root ? path_of(descriptor, buffer, sizeof buffer) : NULL;
  find_anchors(path, bytes, count);
  enum verdict verdict = step("write", path);
  if (verdict == fail) return -1;
  size_t part = (verdict == tear || (atomic_load(&is_short) && is_counted(path))) && count > 1 ? count / 2 : count;
  ssize_t answer = syscall(SYS_pwrite64, descriptor, bytes, part, offset);
  if (verdict == die_after || verdict == tear) syscall(SYS_kill, getpid(), SIGKILL);
  return answer;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
  return write_counted(descriptor, bytes, count, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
  return write_counted(descriptor, bytes, count, offset);
}

static ssize_t read_counted(int descriptor, void *bytes, size_t count, off_t offset) {
  char buffer[4096];
  const char *path = root ? path_of(descriptor, buffer, sizeof buffer) : NULL;
  if (is_counted(path)) {
    pthread_once(&armed_once, arm);
    long number = atomic_fetch_add(&reads, 1) + 1;
    for (int i = 0; i < armed_count; i++)
      if (strncmp(armed[i]->how, "read-", 5) == 0 && armed[i]->number == number && fires(armed[i]->id)) {
        errno = atoi(armed[i]->how + 5);
        return -1;
      }
    if (atomic_load(&is_short) && count > 1) count /= 2;
  }
  return syscall(SYS_pread64, descriptor, bytes, count, offset);
}

ssize_t pread(int descriptor, void *bytes, size_t count, off_t offset) {
  return read_counted(descriptor, bytes, count, offset);
}

ssize_t pread64(int descriptor, void *bytes, size_t count, off64_t offset) {
  return read_counted(descriptor, bytes, count, offset);
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags) {
  EFFECT_ON("copy", to, syscall(SYS_copy_file_range, from, from_at, to, to_at, length, flags));
}

int posix_spawn(
    pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
    char *const arguments[], char *const environment[]) {
  pthread_once(&armed_once, arm);
  long number = atomic_fetch_add(&starts, 1) + 1;
  for (int i = 0; i < armed_count; i++)
    if (strncmp(armed[i]->how, "spawn-", 6) == 0 && armed[i]->number == number && fires(armed[i]->id))
      return atoi(armed[i]->how + 6);
  REAL(posix_spawn);
  return real(pid, path, actions, attributes, arguments, environment);
}

static enum verdict part_of_a_frame(const char *call) {
  if (!root || !role || strcmp(role, "policy") != 0) return go_on;
  char path[4096];
  snprintf(path, sizeof path, "%s/channel", root);
  return step(call, path);
}

ssize_t send(int descriptor, const void *bytes, size_t count, int flags) {
  enum verdict verdict = part_of_a_frame("send");
  if (verdict == fail) return -1;
  ssize_t sent = syscall(SYS_sendto, descriptor, bytes, verdict == tear ? count / 2 : count, flags, NULL, 0);
  if (verdict == die_after || verdict == tear) syscall(SYS_kill, getpid(), SIGKILL);
  return sent;
}

// The first command is the first that a worker receives.
ssize_t recv(int descriptor, void *bytes, size_t count, int flags) {
  ssize_t got = syscall(SYS_recvfrom, descriptor, bytes, count, flags, NULL, NULL);
  if (got > 0) {
    enum verdict verdict = part_of_a_frame("recv");
    if (verdict == fail) return -1;
    if (verdict != go_on) syscall(SYS_kill, getpid(), SIGKILL);
  }
  if (got > 0 && order_length < sizeof order && !atomic_load(&is_armed)) {
    size_t room = sizeof order - order_length, part = (size_t)got < room ? (size_t)got : room;
    memcpy(order + order_length, bytes, part);
    order_length += part;
  }
  return got;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int answer;
  {
    REAL(clock_gettime);
    answer = real ? real(clock, now) : (int)syscall(SYS_clock_gettime, clock, now);
  }
  if (answer == 0 && clock == CLOCK_BOOTTIME && speed > 1) {
    // The product does not fit: seconds and nanoseconds one by one.
    int64_t nanoseconds = (int64_t)now->tv_nsec * speed;
    now->tv_sec = now->tv_sec * speed + nanoseconds / 1000000000;
    now->tv_nsec = nanoseconds % 1000000000;
  }
  return answer;
}
