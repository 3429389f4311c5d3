/* What Swift can't reach of the kernel's interface: macros, ioctls with variadic prototypes, structs behind
 * feature-test macros. Every function answers as the system call does: -1 and errno. */
#ifndef DROVER_CLINUX_H
#define DROVER_CLINUX_H

#include <spawn.h>
#include <stdint.h>
#include <sys/types.h>

/* ioctl FICLONE: `destination` becomes a reflink of the whole of `source`. */
int clinux_clone_file(int destination, int source);

/* 1 when files in this folder can be reflinked, 0 when not; tried with two files that have no name. */
int clinux_folder_reflinks(const char *folder);

/* copy_file_range with offsets that are passed and advanced. */
ssize_t clinux_copy_range(int source, int64_t *source_offset, int destination, int64_t *offset, size_t length);

/* fallocate with FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE. */
int clinux_punch_hole(int descriptor, int64_t offset, int64_t length);

/* lseek with SEEK_DATA, SEEK_HOLE. */
int64_t clinux_seek_data(int descriptor, int64_t offset);
int64_t clinux_seek_hole(int descriptor, int64_t offset);

struct clinux_extent {
  uint64_t offset;
  uint64_t length;
};

/* ioctl FS_IOC_FIEMAP with FIEMAP_FLAG_SYNC, of `[offset, offset + length)`: each run that the file system has an extent
 * for, written or not, in order. Returns how many of at most `capacity` were filled in, and in `*is_last` whether the file
 * has none after them. */
int clinux_extents(int descriptor, uint64_t offset, uint64_t length, struct clinux_extent *extents, int capacity,
                   int *is_last);

struct clinux_status {
  uint64_t size;
  uint64_t allocated_bytes;
  int64_t modified_nanoseconds;
  int64_t changed_nanoseconds;
  uint64_t inode;
  uint64_t device;
  uint32_t mode;
  uint32_t owner;
  uint32_t group;
  uint32_t links;
};

/* stat of `path` below descriptor `folder` (AT_FDCWD: -100); an empty path means the descriptor itself. */
int clinux_read_status(int folder, const char *path, int follow_links, struct clinux_status *status);

/* prctl PR_SET_PDEATHSIG. */
int clinux_signal_on_parent_death(int signal);

/* prctl PR_SET_NAME: names the calling thread; 15 bytes are kept. */
int clinux_name_thread(const char *name);

/* SO_PEERCRED. */
int clinux_peer_credentials(int socket, int32_t *pid, uint32_t *uid, uint32_t *gid);

/* open with mode; O_CLOEXEC is always set. */
int clinux_open(const char *path, int flags, uint32_t mode);

/* syncfs(2), of the file system that the descriptor's file is on. */
int clinux_sync_file_system(int descriptor);

/* fsetxattr, fgetxattr and fremovexattr. */
int clinux_set_attribute(int descriptor, const char *name, const void *value, size_t length);
ssize_t clinux_attribute(int descriptor, const char *name, void *value, size_t capacity);
int clinux_remove_attribute(int descriptor, const char *name);

/* fcntl F_SETFL: O_DIRECT on or off. */
int clinux_set_direct(int descriptor, int direct);

/* Opens the file behind a descriptor once more, for writing with O_DIRECT. */
int clinux_reopen_direct(int descriptor);

/* memfd_create with MFD_CLOEXEC. */
int clinux_memory_file(const char *name);

/* flock LOCK_EX, with LOCK_NB where `wait` is 0. */
int clinux_try_lock_exclusive(int descriptor);

/* flock LOCK_SH | LOCK_NB. */
int clinux_try_lock_shared(int descriptor);

/* open with O_TMPFILE: a file without a name. */
int clinux_open_unnamed(const char *folder, uint32_t mode);

/* pidfd_open; -1 with ENOSYS on a kernel without it. */
int clinux_pidfd_open(int32_t pid);

/* pipe2 with O_CLOEXEC. */
int clinux_pipe(int ends[2]);

/* renameat2 with RENAME_NOREPLACE. */
int clinux_renameat_noreplace(const char *from, const char *to);

/* statvfs: bytes that an unprivileged writer may still use. */
int clinux_free_bytes(const char *path, uint64_t *bytes);

/* posix_spawn_file_actions_addclosefrom_np. */
int clinux_spawn_close_from(posix_spawn_file_actions_t *actions, int from);

/* gettid */
int32_t clinux_thread_id(void);

enum { CLINUX_CALL_FREE, CLINUX_CALL_RUNS, CLINUX_CALL_CRASHED };

/* A call that a thread is in. Lies in memory that is shared with another process, and all zero is free. */
struct clinux_call {
  uint32_t state;  /* CLINUX_CALL_* */
  int32_t thread;  /* gettid */
  uint64_t number; /* the later a call begins, the higher */
  char call[24];
  char stage[40];
  char plugin[176];
};

/* Texts are cut to fit; they need not end in NUL. */
void clinux_call_begin(struct clinux_call *slot, uint64_t number, const char *call, size_t call_length,
                       const char *stage, size_t stage_length, const char *plugin, size_t plugin_length);
void clinux_call_end(struct clinux_call *slot);

/* From now on a signal that ends this process by a crash first marks the innermost call of its thread. */
void clinux_mark_crashes(struct clinux_call *slots, size_t count);

/* No thread of this process may start a process or a program any more: EPERM. Threads may be started. ENOSYS where that
 * can't be had. */
int clinux_deny_new_processes(void);

/* Moves an open descriptor to a number from `least` on (from 10 on where the limit is below it), with close-on-exec, and
 * leaves /dev/null in its old place. */
int clinux_move_descriptor(int descriptor, int least);

#endif
