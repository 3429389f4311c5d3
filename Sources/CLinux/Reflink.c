#define _GNU_SOURCE
#include "CLinux.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

int clinux_folder_reflinks(const char *folder) {
  char block[4096] = {1};
  int from = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  int to = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  int can = from >= 0 && to >= 0 && write(from, block, sizeof block) == (ssize_t)sizeof block &&
            ioctl(to, FICLONE, from) == 0;
  if (from >= 0) close(from);
  if (to >= 0) close(to);
  return can;
}
