#pragma once

#include <lua5.4/lauxlib.h>
#include <lua5.4/lua.h>
#include <lua5.4/lualib.h>

#include "CLua.h"

typedef struct bytes {
  char *start;
  size_t length, capacity;
} bytes;

struct clua_host {
  lua_State *state;
  clua_limits limits;
  uint64_t used;
  uint64_t next_look;
  size_t memory, peak;
  /* The last wish for more memory was refused. Lua then collects its garbage and asks once more. */
  int refused;
  /* The limit that was hit first; once it is set nothing goes on. */
  int limit;
  int line;
  /* What an error means that was raised by `clua_refuse` and not by the script. */
  int refusal;
  bytes answer, message, printed;
  int printed_more;
  /* Arguments of the step below lua_pcall. */
  const char *name;
  const void *input;
  size_t input_length;
};

static inline clua_host *clua_host_of(lua_State *L) { return *(clua_host **)lua_getextraspace(L); }

/* 0 where there is no memory. */
int clua_append(bytes *buffer, const void *start, size_t length);

/* Takes `steps` from the budget. Raises where it is used up, the time is over, or a limit was hit before. */
void clua_charge(lua_State *L, uint64_t steps);

/* For work on `length` bytes. */
static inline void clua_charge_bytes(lua_State *L, size_t length) { clua_charge(L, 1 + length / 16); }

/* Raises the limit, now and at every later chance. */
_Noreturn void clua_hit(lua_State *L, int limit);

/* Raises an error that is not the script's: outside of all its functions, so it can't be caught. */
_Noreturn void clua_refuse(lua_State *L, int outcome, const char *format, ...);

/* Pushes what `tostring` gives: without addresses, which differ from run to run. */
void clua_push_text(lua_State *L, int index);

/* Sorts the array of `count` values at `index` in place, always with an end. `less` sees two stack indices. */
typedef int (*clua_less)(lua_State *L, int one, int other, int context);
void clua_sort(lua_State *L, int index, lua_Integer count, clua_less less, int context);

/* Each leaves its functions in the table at the top of the stack. */
void clua_open_base(lua_State *L);
void clua_open_string(lua_State *L);
void clua_open_table(lua_State *L);

/* Documents: see CLua.h for the form. */
void clua_push_document(lua_State *L, const uint8_t *start, size_t length);
void clua_write_document(lua_State *L, int index);
