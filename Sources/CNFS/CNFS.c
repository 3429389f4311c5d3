#include "CNFS.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

void cnfs_take(int status, struct nfs_context *nfs, void *data, void *private_data) {
  (void)nfs;
  cnfs_reply *reply = private_data;
  reply->is_done = 1;
  reply->status = status;
  if (status < 0) return;
  switch (reply->kind) {
    case CNFS_HANDLE: reply->handle = data; break;
    case CNFS_STAT: reply->stat = *(struct nfs_stat_64 *)data; break;
    case CNFS_BYTES:
      if ((size_t)status > reply->capacity) {
        reply->status = -EIO;
      } else if (status > 0) {
        memcpy(reply->buffer, data, (size_t)status);
      }
      break;
    default: break;
  }
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_BOOTTIME, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int cnfs_wait(struct nfs_context *nfs, const cnfs_reply *reply, double boot_seconds) {
  for (;;) {
    if (reply->is_done) return CNFS_DONE;
    double left = boot_seconds - now();
    if (left <= 0) return CNFS_TIMED_OUT;
    /* libnfs wants to be asked now and then even when nothing comes. */
    int milliseconds = left > 0.1 ? 100 : (int)(left * 1000) + 1;
    struct pollfd entry = {nfs_get_fd(nfs), (short)nfs_which_events(nfs), 0};
    int count = poll(&entry, 1, milliseconds);
    if (count < 0 && errno == EINTR) continue;
    if (nfs_service(nfs, count > 0 ? entry.revents : 0) < 0) return reply->is_done ? CNFS_DONE : CNFS_BROKEN;
  }
}
