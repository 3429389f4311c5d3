/*
 * drover_plugin.h: the contract between Drover and a stage plugin.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * A plugin is a shared object that exports one function, DROVER_PLUGIN_ENTRY, which returns a static
 * descriptor. It is loaded into a drover-worker process with RTLD_NOW | RTLD_LOCAL and stays loaded
 * until that process ends. It must not resolve anything from the program that loads it: all that the
 * host offers comes in as `struct drover_host`.
 *
 * The ABI's promise. Within one major version
 *   - fields are only ever appended to a struct, never moved, removed or given another meaning;
 *   - each struct begins with `struct_size`, which its writer sets to the sizeof it was compiled with.
 *     Its reader takes the smaller of that and its own sizeof, and treats what is missing as zero.
 *     That holds in both directions, so an old plugin works in a new host and a new one in an old host.
 *     In a struct that is passed to be filled, struct_size says on entry how much room there is: fill no more;
 *   - flag bits that a reader does not know are ignored, unless their comment says otherwise.
 *
 * Conventions
 *   - Sizes and offsets are bytes. Strings are UTF-8 and end in NUL. JSON is one object, UTF-8.
 *   - Functions that return int answer 0 for success and -1 for failure; those that return int64_t
 *     answer a count, or -1. Before -1 they fill *error.
 *   - Whoever passes a pointer owns what it points to. It is valid during the call only, unless the
 *     comment says otherwise; nobody frees what the other side allocated.
 *   - The host may call from any thread; how many calls may run at once is said by `threads`.
 *   - A long call asks host->cancelled about twice a second and gives up with code "cancelled" when told.
 *   - No exception, longjmp or signal may leave a plugin's function. A plugin starts no process, leaves
 *     SIGPIPE ignored as it finds it, and never reads or writes descriptors 0, 1 and 2.
 */
#ifndef DROVER_PLUGIN_H
#define DROVER_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A host refuses a plugin with another major version, and one with a higher minor version than its own
 * only if `required_minor` says that it can't do without. */
#define DROVER_PLUGIN_ABI_MAJOR 1u
#define DROVER_PLUGIN_ABI_MINOR 1u

/* The one exported symbol. The ABI's major version is part of its name. */
#define DROVER_PLUGIN_ENTRY drover_plugin_v1
#define DROVER_PLUGIN_ENTRY_NAME "drover_plugin_v1"

#if defined(__GNUC__)
#define DROVER_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define DROVER_PLUGIN_EXPORT
#endif

/* ---------------------------------------------------------------- errors */

/* Whether trying again can help. */
#define DROVER_RETRY_NEVER 0u     /* the input is wrong: a checksum, a key, a format, no space */
#define DROVER_RETRY_TRANSIENT 1u /* it may pass by itself: the network, a lock that is held, a busy server */
#define DROVER_RETRY_AFTER_FIX 2u /* somebody must change something first: credentials, an unreachable target */

/* Filled by the plugin before it answers -1. The host owns it and has zeroed it but for struct_size.
 * Strings are cut to fit and always end in NUL. No secret may stand in any of them. */
typedef struct drover_error {
  size_t struct_size;
  uint32_t retry;      /* DROVER_RETRY_* */
  int32_t system_error; /* an errno value, or 0 */
  char domain[32];     /* who speaks: the stage's name, or the library's */
  char code[64];       /* stable, lower case with dashes, for scripts: "checksum-mismatch", "no-space" */
  char message[1024];  /* what was being done, to which thing, and what was answered */
  char hint[512];      /* what to do next; may be empty */
} drover_error;

/* ---------------------------------------------------------------- what the host offers */

#define DROVER_LOG_DEBUG 0u
#define DROVER_LOG_INFO 1u
#define DROVER_LOG_WARNING 2u
#define DROVER_LOG_ERROR 3u

/* The host's services. The table and `context` live as long as the process. Each function may be called
 * from any thread at any time between the entry of open, plan, run or discard and the return of close. */
typedef struct drover_host {
  size_t struct_size;
  uint32_t abi_major;
  uint32_t abi_minor;
  void *context; /* passed back as the first argument of every function below */
  /* One line for the job's log, without a line end. No secrets. */
  void (*log)(void *context, uint32_t level, const char *message);
  /* 1: give up as soon as it is safe. 0: go on. */
  int (*cancelled)(void *context);
  /* A record of the stage's own: `kind` names it ("source", "backup", "block"), `json` is an object.
   * Records reach the job's result and, for a task, are its whole answer. */
  void (*emit)(void *context, const char *kind, const char *json);
  /* What the stage is doing now, in a word or two ("waiting for lock", "connecting"), and optional detail (or NULL).
   * Counts as a sign of life: a call without progress, phase or sign for too long is taken for a hang. */
  void (*phase)(void *context, const char *phase, const char *detail);
  /* Progress of a task in bytes, or in items where it has no bytes. Copies are counted by the host. */
  void (*progress)(void *context, uint64_t done, uint64_t total);
} drover_host;

/* ---------------------------------------------------------------- devices */

#define DROVER_SIZE_UNKNOWN UINT64_MAX

/* A block of the list of per-block hashes that Drover keeps beside an image, in bytes, and the length of
 * one hash: the first 32 bytes of the SHA-512 of the block (the last block may be short). */
#define DROVER_HASH_BLOCK 2097152u
#define DROVER_HASH_LENGTH 32u

/* drover_device_info.flags */
#define DROVER_DEVICE_WRITABLE 0x01u      /* pwrite, zero, flush and commit are there */
#define DROVER_DEVICE_SEQUENTIAL 0x02u    /* calls come in ascending offset order, without gaps but for a first
                                             seek, one at a time. As a source: fast only in order, and with an
                                             unknown size a short read marks the end. As a sink: everything must
                                             be written, zeros too, in order */
#define DROVER_DEVICE_TAKES_ABSENT 0x04u  /* a sink that wants only what changed: absent extents are left out */
#define DROVER_DEVICE_IMAGE_FILE 0x08u    /* the bytes of an image file: the host computes the file's SHA-512 here */
#define DROVER_DEVICE_NO_EXTENTS 0x10u    /* extents are not known: the host looks for blocks of zeros itself */
#define DROVER_DEVICE_STARTS_ZERO 0x20u   /* a sink whose every byte reads as zero until it is written */
#define DROVER_DEVICE_CHECKS_HASHES 0x40u /* a sink that compares every block with the source's block_hashes, where it
                                             has them, before it commits; for any other the host hashes the copy */

typedef struct drover_device_info {
  size_t struct_size;
  uint64_t size;            /* of the device, or DROVER_SIZE_UNKNOWN */
  uint64_t data_size;       /* bytes in data extents; `size` where extents are not known */
  uint32_t block_min;       /* every offset and length but the very last is a multiple of it; >= 1 */
  uint32_t block_preferred; /* what the host reads and writes at once; a multiple of block_min; 0: no preference */
  uint32_t block_max;       /* longest pread, pwrite; at least block_min and block_preferred, and rounded down to a
                               multiple of block_min; 0: no limit */
  uint32_t flags;           /* DROVER_DEVICE_* */
  /* What was opened, so that a later attempt can tell whether it is still the same: an ETag, a UUID, a size
   * with a time. NULL: a copy can't be continued. */
  const char *identity;
  /* SHA-512 of all bytes, 128 hexadecimal digits, if it is known and the content has not changed since; or NULL. */
  const char *sha512;
  /* DROVER_HASH_LENGTH bytes for each DROVER_HASH_BLOCK that `size` begins, no more and no fewer; or NULL. Of no use
   * where the size is not known. */
  const uint8_t *block_hashes;
  uint64_t block_hash_count;
} drover_device_info; /* its pointers are the device's own and stay valid until close */

#define DROVER_EXTENT_DATA 0u   /* bytes to read */
#define DROVER_EXTENT_ZERO 1u   /* reads as zero */
#define DROVER_EXTENT_ABSENT 2u /* unchanged: what lies below decides */

typedef struct drover_extent {
  uint64_t offset;
  uint64_t length;
  uint32_t type; /* DROVER_EXTENT_* */
  uint32_t reserved;
} drover_extent; /* never grows: arrays of it are passed */

/* What the host knows when everything has been copied and flushed. */
typedef struct drover_commit {
  size_t struct_size;
  uint64_t size;               /* final size of the device */
  const char *sha512;          /* of the image file's bytes, 128 hexadecimal digits, or NULL where none was computed */
  const uint8_t *block_hashes; /* as in drover_device_info, or NULL */
  uint64_t block_hash_count;
} drover_commit;

/* Receives one JSON object during the call that it is passed to. */
typedef void (*drover_reply)(void *reply_context, const char *json);

/* Calls on an open device. `handle` is what open gave. With DROVER_THREADS_PARALLEL the calls extents, pread,
 * pwrite, zero, trim, flush, file_range and checkpoint may run at the same time, also each beside itself; info, commit
 * and close never run beside another call. A pointer may be NULL where its comment allows it. */
typedef struct drover_device_ops {
  size_t struct_size;
  /* Fill *info. Called after open and after commit, and of a source once more when its last byte was read and nothing
   * is committed yet: one that is not what it was at open any more answers -1 with code "source-changed" there, or
   * another identity. Required. */
  int (*info)(void *handle, drover_device_info *info, drover_error *error);
  /* Describe [offset, offset+length) in at most `capacity` extents, in order, without gaps, the first one beginning
   * at `offset`, none reaching beyond the range. May stop before the range ends but describes at least one byte.
   * Returns the number of extents. NULL: everything is data. */
  int64_t (*extents)(void *handle, uint64_t offset, uint64_t length, drover_extent *extents, uint32_t capacity,
                     drover_error *error);
  /* Read `length` bytes at `offset` into `buffer`. Returns the bytes read: fewer than `length` only at the end of a
   * SEQUENTIAL device of unknown size. NULL: can't be read. */
  int64_t (*pread)(void *handle, void *buffer, uint64_t length, uint64_t offset, drover_error *error);
  /* Write all of it. Durable only after flush. NULL: can't be written. */
  int (*pwrite)(void *handle, const void *buffer, uint64_t length, uint64_t offset, drover_error *error);
  /* Make the range read as zero, at whatever cost is least. Required where pwrite is. */
  int (*zero)(void *handle, uint64_t offset, uint64_t length, drover_error *error);
  /* When it returns, every write that had returned before it was called survives a power cut. */
  int (*flush)(void *handle, drover_error *error);
  /* Offer the file behind the range, if its bytes lie there as they are: *fd, and in *fd_offset where `offset` lies
   * in it. Asked of the whole device, and, where that is not offered, of each block that is copied. The descriptor stays the device's own and valid until close. On a sink the host writes through it. May be NULL;
   * may answer -1 with code "not-offered", which is no failure. */
  int (*file_range)(void *handle, uint64_t offset, uint64_t length, int *fd, uint64_t *fd_offset, drover_error *error);
  /* After a flush: everything below `offset` is safe. Put what a later attempt needs into `token` (at most `capacity`
   * bytes, which is 65536; more goes into the job's folder) and return its length. NULL, or -1 with code
   * "not-offered", which is no failure: can't be continued. */
  int64_t (*checkpoint)(void *handle, uint64_t offset, void *token, size_t capacity, drover_error *error);
  /* Everything is written, flushed and checked: put the result in its place, durably, in one step. Must succeed when
   * an earlier attempt of the same job has already done it. After it, only info and close follow. May be NULL on a source. */
  int (*commit)(void *handle, const drover_commit *commit, drover_error *error);
  /* A command in `verb` with a JSON object, answered by one `reply` call. An export passes on what arrives at its control
   * socket. With DROVER_THREADS_PARALLEL it may run beside any call but info, commit and close, and beside itself. A verb
   * that the device does not know: -1 with code "not-supported". May be NULL. */
  int (*control)(void *handle, const char *verb, const char *json, drover_reply reply, void *reply_context,
                 drover_error *error);
  /* Release everything in memory and every lock. Without a commit before, what lies on disk stays as it is: a later
   * attempt continues it, or discard removes it. Called once, also after a failed call. Required. */
  void (*close)(void *handle);
  /* Since 1.1. The range's content is not needed any more: its space may be given back, or not. What it reads as
   * afterwards is the device's choice, but never what lay there before the range was last written. Whole blocks of
   * block_min only. May be NULL: nothing happens. */
  int (*trim)(void *handle, uint64_t offset, uint64_t length, drover_error *error);
} drover_device_ops;

/* A device together with its calls: what a filter gets below it, and a sink as the source of the copy. It is the host's:
 * closing, committing and checkpointing it is not the business of who gets it, and calls that it lacks are NULL. */
typedef struct drover_device {
  size_t struct_size;
  void *handle;
  const drover_device_ops *ops;
} drover_device;

/* ---------------------------------------------------------------- stages */

#define DROVER_ROLE_SOURCE 0x1u /* opened alone, read */
#define DROVER_ROLE_FILTER 0x2u /* opened over a lower device, read or written */
#define DROVER_ROLE_SINK 0x4u   /* opened alone, written */
#define DROVER_ROLE_TASK 0x8u   /* has no device: run */

#define DROVER_THREADS_SERIAL 0u   /* one call at a time on one device */
#define DROVER_THREADS_PARALLEL 1u /* see drover_device_ops */

#define DROVER_STAGE_NETWORK 0x1u /* waits for a network: a call without progress for 30 s is a stall, else 10 min */

typedef struct drover_secret {
  const char *name;    /* e.g. CRYPTO_KEY_VALUE */
  const uint8_t *bytes; /* not terminated; wiped by the host after close. Never copy it to disk, log or error */
  size_t length;
} drover_secret; /* never grows */

/* What a stage is opened with. Everything in it stays valid until close (until return, for plan, run, discard). */
typedef struct drover_open {
  size_t struct_size;
  uint32_t role;             /* one of DROVER_ROLE_* */
  uint32_t writable;         /* 1 for a sink and for a filter above one; and for a source, with the filters above it,
                                that an export serves to be read and written: no commit will come, only flush and close */
  const char *params;        /* JSON object: what the manifest and the planner say */
  const drover_secret *secrets;
  size_t secret_count;
  const char *job;           /* identifier of the job */
  const char *job_folder;    /* absolute; the stage may keep files NAME.* in it, NAME being its own; they outlive an attempt */
  uint32_t attempt;          /* 1 for the first */
  uint32_t concurrency;      /* at most so many calls at once */
  uint32_t stall_seconds;    /* a network without a byte for so long has stalled */
  uint32_t reserved;
  const void *checkpoint;    /* the token of the last checkpoint that was recorded, or NULL to begin anew */
  size_t checkpoint_length;
  const drover_device *lower;  /* filters: the device below; else NULL */
  const drover_device *source; /* stages on the writing side: the top of the reading side, open; else NULL */
} drover_open;

/* What a job will need, told without any effect. On the writing side a plan is of what the stage is given to write: a
 * filter there gets the plan of the reading side, or of the filter above it, and the sink that of the lowest filter. */
typedef struct drover_plan {
  size_t struct_size;
  uint64_t size;            /* of the device; DROVER_SIZE_UNKNOWN if only opening can tell */
  uint64_t data_size;       /* bytes that will be copied */
  uint64_t space;           /* bytes that must be free in space_path, beyond what an earlier attempt has taken */
  char space_path[1024];    /* an existing folder; empty: needs no space */
  char lock[256];           /* what will be locked, for people; empty: nothing */
  char file_path[1024];     /* the file whose bytes the device offers as they are; empty: none */
} drover_plan;

/* Its functions get the descriptor itself as their first argument. */
typedef struct drover_stage {
  size_t struct_size;
  const char *name;    /* ^[a-z][a-z0-9-]{1,30}$ */
  const char *summary; /* one line for people */
  uint32_t roles;      /* DROVER_ROLE_*, or-ed */
  uint32_t threads;    /* DROVER_THREADS_* */
  uint32_t flags;      /* DROVER_STAGE_* */
  uint32_t reserved;
  /* JSON object: name of each parameter -> {"required": bool, "summary": string}. Unknown ones are refused by name
   * before open. NULL: any. */
  const char *params;
  /* No effect on anything. `below` is the plan of where the bytes come from: on the reading side of the lower device, on
   * the writing side of the filter above or of the reading side. NULL for a source.
   * May be NULL: nothing is known before open. */
  int (*plan)(const struct drover_stage *stage, const drover_host *host, const drover_open *open,
              const drover_plan *below, drover_plan *plan, drover_error *error);
  /* Put a handle into *handle. After -1 nothing is open and close is not called. Required but for a task. */
  int (*open)(const struct drover_stage *stage, const drover_host *host, const drover_open *open, void **handle,
              drover_error *error);
  const drover_device_ops *device; /* required but for a task; static */
  /* A task does its work and returns; its answers are emitted records. Required for a task. */
  int (*run)(const struct drover_stage *stage, const drover_host *host, const drover_open *open, drover_error *error);
  /* The job is given up: remove what its attempts left (partial files, stubs). Nothing of it is open. Must not touch
   * what was committed, but for what an attempt of this very job committed and died before it could say so. Succeeds
   * when there is nothing. Also called for the reading side. May be NULL. */
  int (*discard)(const struct drover_stage *stage, const drover_host *host, const drover_open *open, drover_error *error);
  void *context; /* the plugin's own; the host never looks at it */
} drover_stage;

/* What the entry function returns: static, never changed, never freed. */
typedef struct drover_plugin {
  size_t struct_size;
  uint32_t abi_major;      /* DROVER_PLUGIN_ABI_MAJOR it was compiled with */
  uint32_t abi_minor;      /* DROVER_PLUGIN_ABI_MINOR it was compiled with */
  uint32_t required_minor; /* the least minor version of a host that it works in */
  uint32_t stage_count;    /* at most 64 */
  const char *name;        /* as a stage's */
  const char *version;     /* the plugin's own */
  const drover_stage *const *stages; /* stage_count pointers */
} drover_plugin;

typedef const drover_plugin *(*drover_plugin_entry)(void);

/* Declared, so that a plugin that defines it with another type does not compile. */
DROVER_PLUGIN_EXPORT const drover_plugin *drover_plugin_v1(void);

#ifdef __cplusplus
}
#endif

#endif /* DROVER_PLUGIN_H */
