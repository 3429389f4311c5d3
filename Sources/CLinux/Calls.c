#define _GNU_SOURCE
#include "CLinux.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int32_t clinux_thread_id(void) { return (int32_t)syscall(SYS_gettid); }

static void write_field(char *field, size_t room, const char *text, size_t length) {
  /* Of a path the end tells more than the beginning. */
  if (length >= room) {
    text += length - (room - 1);
    length = room - 1;
  }
  memcpy(field, text, length);
  field[length] = 0;
}

void clinux_call_begin(struct clinux_call *slot, uint64_t number, const char *call, size_t call_length,
                       const char *stage, size_t stage_length, const char *plugin, size_t plugin_length) {
  write_field(slot->call, sizeof slot->call, call, call_length);
  write_field(slot->stage, sizeof slot->stage, stage, stage_length);
  write_field(slot->plugin, sizeof slot->plugin, plugin, plugin_length);
  slot->number = number;
  slot->thread = clinux_thread_id();
  __atomic_store_n(&slot->state, CLINUX_CALL_RUNS, __ATOMIC_RELEASE);
}

void clinux_call_end(struct clinux_call *slot) { __atomic_store_n(&slot->state, CLINUX_CALL_FREE, __ATOMIC_RELEASE); }

static struct clinux_call *marked;
static size_t marked_count;

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
static struct sigaction earlier[sizeof signals / sizeof signals[0]];

/* Only what a signal handler may do: look at memory, and raise. */
static void mark_and_die(int signal_number, siginfo_t *info, void *context) {
  (void)context;
  int32_t thread = clinux_thread_id();
  struct clinux_call *inner = NULL;
  for (size_t index = 0; index < marked_count; index++) {
    struct clinux_call *slot = &marked[index];
    if (slot->thread != thread || __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != CLINUX_CALL_RUNS) continue;
    if (inner == NULL || slot->number > inner->number) inner = slot;
  }
  if (inner != NULL) __atomic_store_n(&inner->state, CLINUX_CALL_CRASHED, __ATOMIC_RELEASE);
  for (size_t index = 0; index < sizeof signals / sizeof signals[0]; index++)
    if (signals[index] == signal_number) sigaction(signal_number, &earlier[index], NULL);
  /* A fault happens again on return, for whoever handled it before; what was sent must be sent again. */
  if (info == NULL || info->si_code <= 0) raise(signal_number);
}

void clinux_mark_crashes(struct clinux_call *slots, size_t count) {
  marked = slots;
  marked_count = count;
  for (size_t index = 0; index < sizeof signals / sizeof signals[0]; index++) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = mark_and_die;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(signals[index], &action, &earlier[index]);
  }
}
