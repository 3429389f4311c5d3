#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * One run of a policy script in a Lua state of its own, with limits on all that it may use.
 *
 * Lua reports errors by longjmp, which must never cross a Swift frame. So this is all that Swift sees: values go in and
 * come out as bytes, no function of Swift's is ever called from Lua, and every step that can raise is made below one
 * lua_pcall in C. Nothing here keeps state outside the host; a host is used by one thread at a time.
 */

typedef struct clua_limits {
  /* Instructions of the virtual machine, and steps of library functions that loop: one budget for load and call. */
  uint64_t instructions;
  /* Bytes of all that the Lua state holds at once. */
  size_t memory;
  /* On the monotonic clock, in nanoseconds. Looked at every few hundred instructions: an end by force is the caller's. */
  int64_t deadline;
  /* Bytes of the answer, in the form of clua_answer. */
  size_t document;
} clua_limits;

/* What a step came to. The first limit that is hit stays: no script can catch it. */
enum clua_outcome {
  CLUA_OK = 0,
  CLUA_SYNTAX = 1,
  CLUA_SHAPE = 2,
  CLUA_RUNTIME = 3,
  CLUA_INSTRUCTIONS = 4,
  CLUA_MEMORY = 5,
  CLUA_DEADLINE = 6,
  CLUA_DOCUMENT = 7,
};

typedef struct clua_host clua_host;

/* NULL where there is no memory for it. To be closed with clua_close. */
clua_host *clua_open(const clua_limits *limits);
void clua_close(clua_host *host);

/*
 * Parses `source`, which must be text, and runs its top level; `name` (zero-terminated) stands in messages. The table
 * that it returns is kept for clua_handles and clua_ask. To be called once.
 */
int clua_load(clua_host *host, const char *name, const char *source, size_t length);

/* Whether the loaded table has a function for the point: 1 or 0. */
int clua_handles(clua_host *host, const char *point);

/* Calls the function for the point with the value in `context`, and keeps what it returns for clua_answer. */
int clua_ask(clua_host *host, const char *point, const uint8_t *context, size_t length);

/*
 * The value that clua_ask got, valid until the host is closed. The form, in both directions, numbers little-endian:
 *   'n'  'f'  't'                   nil, false, true
 *   'i' int64    'd' double
 *   's' uint32 length, bytes        a string of any bytes
 *   'a' uint32 count, values        a table with the keys 1 to count
 *   'o' uint32 count, pairs of (uint32 length, bytes; value)     a table with strings as keys; an empty table
 */
const uint8_t *clua_answer(const clua_host *host, size_t *length);

/* Why the last step failed, and the line where a limit was hit (0 where nobody knows). Any bytes. */
const char *clua_message(const clua_host *host, size_t *length);
int clua_line(const clua_host *host);

/* What `print` wrote, at most CLUA_PRINTED bytes; `more` is 1 where there would have been more. */
#define CLUA_PRINTED 8192
const char *clua_printed(const clua_host *host, size_t *length, int *more);

/* Of `host`, for tests and logs: what it has used. */
uint64_t clua_used_instructions(const clua_host *host);
size_t clua_peak_memory(const clua_host *host);
