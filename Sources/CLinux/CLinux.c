#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

int clinux_clone_file(int destination, int source) { return ioctl(destination, FICLONE, source); }

ssize_t clinux_copy_range(int source, int64_t *source_offset, int destination, int64_t *offset, size_t length) {
  off_t from = *source_offset, to = *offset;
  ssize_t copied = copy_file_range(source, &from, destination, &to, length, 0);
  *source_offset = from;
  *offset = to;
  return copied;
}

int clinux_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int clinux_punch_hole(int descriptor, int64_t offset, int64_t length) {
  return fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

int64_t clinux_seek_data(int descriptor, int64_t offset) { return lseek(descriptor, offset, SEEK_DATA); }

int64_t clinux_seek_hole(int descriptor, int64_t offset) { return lseek(descriptor, offset, SEEK_HOLE); }

int clinux_extents(int descriptor, uint64_t offset, uint64_t length, struct clinux_extent *extents, int capacity,
                   int *is_last) {
  struct fiemap *map = calloc(1, sizeof *map + (size_t)capacity * sizeof map->fm_extents[0]);
  if (map == NULL) return -1;
  map->fm_start = offset;
  map->fm_length = length;
  map->fm_flags = FIEMAP_FLAG_SYNC;
  map->fm_extent_count = (uint32_t)capacity;
  if (ioctl(descriptor, FS_IOC_FIEMAP, map) != 0) {
    int answer = errno;
    free(map);
    errno = answer;
    return -1;
  }
  int count = (int)map->fm_mapped_extents;
  *is_last = count < capacity;
  for (int index = 0; index < count; index++) {
    extents[index].offset = map->fm_extents[index].fe_logical;
    extents[index].length = map->fm_extents[index].fe_length;
    if (map->fm_extents[index].fe_flags & FIEMAP_EXTENT_LAST) *is_last = 1;
  }
  free(map);
  return count;
}

int clinux_read_status(int folder, const char *path, int follow_links, struct clinux_status *status) {
  struct stat found;
  int flags = (follow_links ? 0 : AT_SYMLINK_NOFOLLOW) | (path[0] == 0 ? AT_EMPTY_PATH : 0);
  if (fstatat(folder, path, &found, flags) != 0) return -1;
  status->size = (uint64_t)found.st_size;
  status->allocated_bytes = (uint64_t)found.st_blocks * 512;
  status->modified_nanoseconds = (int64_t)found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec;
  status->changed_nanoseconds = (int64_t)found.st_ctim.tv_sec * 1000000000 + found.st_ctim.tv_nsec;
  status->inode = found.st_ino;
  status->device = found.st_dev;
  status->mode = found.st_mode;
  status->owner = found.st_uid;
  status->group = found.st_gid;
  status->links = (uint32_t)found.st_nlink;
  return 0;
}

int clinux_signal_on_parent_death(int signal) { return prctl(PR_SET_PDEATHSIG, signal); }

int clinux_name_thread(const char *name) { return prctl(PR_SET_NAME, name); }

int clinux_peer_credentials(int socket, int32_t *pid, uint32_t *uid, uint32_t *gid) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return -1;
  *pid = peer.pid;
  *uid = peer.uid;
  *gid = peer.gid;
  return 0;
}

int clinux_open(const char *path, int flags, uint32_t mode) { return open(path, flags | O_CLOEXEC, (mode_t)mode); }

int clinux_sync_file_system(int descriptor) { return syncfs(descriptor); }

int clinux_set_attribute(int descriptor, const char *name, const void *value, size_t length) {
  return fsetxattr(descriptor, name, value, length, 0);
}

ssize_t clinux_attribute(int descriptor, const char *name, void *value, size_t capacity) {
  return fgetxattr(descriptor, name, value, capacity);
}

int clinux_remove_attribute(int descriptor, const char *name) { return fremovexattr(descriptor, name); }

int clinux_try_lock_exclusive(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB); }

int clinux_try_lock_shared(int descriptor) { return flock(descriptor, LOCK_SH | LOCK_NB); }

int clinux_open_unnamed(const char *folder, uint32_t mode) {
  return open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, (mode_t)mode);
}

int clinux_pidfd_open(int32_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int clinux_renameat_noreplace(const char *from, const char *to) {
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

int clinux_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int clinux_free_bytes(const char *path, uint64_t *bytes) {
  struct statvfs answer;
  if (statvfs(path, &answer) != 0) return -1;
  *bytes = (uint64_t)answer.f_bavail * answer.f_frsize;
  return 0;
}

int clinux_spawn_close_from(posix_spawn_file_actions_t *actions, int from) {
  return posix_spawn_file_actions_addclosefrom_np(actions, from);
}

int clinux_set_direct(int descriptor, int direct) {
  int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0) return -1;
  return fcntl(descriptor, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT);
}

int clinux_reopen_direct(int descriptor) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
  return open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
}
