/*
 * libnfs' asynchronous calls, each waited for up to a moment of the caller's: the library's own synchronous calls know
 * no deadline. Nothing else is added to what libnfs documents for the call that is named.
 */
#ifndef CNFS_H
#define CNFS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>
#include <nfsc/libnfs.h>

/* What a call has brought. Must stay where it is until the call is over or its context is destroyed. */
typedef struct cnfs_reply {
  int is_done;
  /* 0 or a count of bytes; -errno. */
  int status;
  /* Of an open or an opendir: the handle. */
  void *handle;
  /* Of a stat. */
  struct nfs_stat_64 stat;
  /* Of a read: filled in. The caller's. */
  void *buffer;
  size_t capacity;
  int kind;
} cnfs_reply;

enum { CNFS_PLAIN, CNFS_HANDLE, CNFS_STAT, CNFS_BYTES };

/* Given to every asynchronous call, with a reply as its private data. */
void cnfs_take(int status, struct nfs_context *nfs, void *data, void *reply);

enum { CNFS_DONE, CNFS_BROKEN, CNFS_TIMED_OUT };

/* Serves the context's socket until the reply is there, the connection is lost, or the moment of CLOCK_BOOTTIME has come.
 * After the last two the context is of no use and must be destroyed, while the reply is still there. */
int cnfs_wait(struct nfs_context *nfs, const cnfs_reply *reply, double boot_seconds);

#endif
