#include "Host.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The virtual machine calls the hook every so many instructions. */
#define INTERVAL 128
/* Library functions look at the clock every so many steps. */
#define LOOK 4096

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int clua_append(bytes *buffer, const void *start, size_t length) {
  if (length > buffer->capacity - buffer->length) {
    size_t capacity = (buffer->length + length) * 2;
    char *grown = realloc(buffer->start, capacity);
    if (grown == NULL) return 0;
    buffer->start = grown;
    buffer->capacity = capacity;
  }
  if (length > 0) memcpy(buffer->start + buffer->length, start, length);
  buffer->length += length;
  return 1;
}

static void *allocate(void *context, void *block, size_t old, size_t new) {
  clua_host *host = context;
  size_t held = block == NULL ? 0 : old;
  if (new == 0) {
    host->memory -= held;
    free(block);
    return NULL;
  }
  if (new > held && new - held > host->limits.memory - host->memory) {
    if (host->refused && host->limit == 0) host->limit = CLUA_MEMORY;
    host->refused = 1;
    return NULL;
  }
  void *moved = realloc(block, new);
  /* Lua relies on a block that shrinks. */
  if (moved == NULL) return new <= held ? block : NULL;
  if (new > held) host->refused = 0;
  host->memory = host->memory - held + new;
  if (host->memory > host->peak) host->peak = host->memory;
  return moved;
}

static void hook(lua_State *L, lua_Debug *record) {
  (void)record;
  clua_host *host = clua_host_of(L);
  host->next_look = 0;
  clua_charge(L, INTERVAL);
}

_Noreturn void clua_hit(lua_State *L, int limit) {
  clua_host *host = clua_host_of(L);
  if (host->limit == 0) host->limit = limit;
  lua_Debug record;
  for (int level = 0; host->line == 0 && lua_getstack(L, level, &record); level++) {
    if (lua_getinfo(L, "l", &record) && record.currentline > 0) host->line = record.currentline;
  }
  /* Whatever catches it (`__close` may) gets no further than one instruction. */
  lua_sethook(L, hook, LUA_MASKCOUNT, 1);
  if (!lua_checkstack(L, 1)) lua_settop(L, 0);
  lua_pushlightuserdata(L, host);
  lua_error(L);
  abort();
}

void clua_charge(lua_State *L, uint64_t steps) {
  clua_host *host = clua_host_of(L);
  if (host->limit != 0) clua_hit(L, host->limit);
  if (steps > host->limits.instructions - host->used) {
    host->used = host->limits.instructions;
    clua_hit(L, CLUA_INSTRUCTIONS);
  }
  host->used += steps;
  if (host->used < host->next_look) return;
  host->next_look = host->used + LOOK;
  if (now() >= host->limits.deadline) clua_hit(L, CLUA_DEADLINE);
}

_Noreturn void clua_refuse(lua_State *L, int outcome, const char *format, ...) {
  clua_host_of(L)->refusal = outcome;
  va_list arguments;
  va_start(arguments, format);
  lua_pushvfstring(L, format, arguments);
  va_end(arguments);
  lua_error(L);
  abort();
}

/* Runs `body` below the one lua_pcall, and says what it came to. */
static int enter(clua_host *host, lua_CFunction body) {
  lua_State *L = host->state;
  host->message.length = 0;
  host->refusal = 0;
  lua_settop(L, 0);
  lua_pushcfunction(L, body);
  int status = lua_pcall(L, 0, 0, 0);
  if (host->limit != 0) return host->limit;
  if (status == LUA_OK) return CLUA_OK;
  if (status == LUA_ERRMEM) return host->limit = CLUA_MEMORY;
  /* Only a string is looked at: turning anything else into one could raise, and nothing would catch it here. */
  if (lua_type(L, -1) == LUA_TSTRING) {
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    clua_append(&host->message, text, length < 1000 ? length : 1000);
  } else {
    const char *what = lua_typename(L, lua_type(L, -1));
    clua_append(&host->message, "it raised an error that is a ", 29);
    clua_append(&host->message, what, strlen(what));
  }
  lua_settop(L, 0);
  return host->refusal != 0 ? host->refusal : CLUA_RUNTIME;
}

/* The globals that a script sees, in the place of those that the library made. */
static int set_up(lua_State *L) {
  lua_newtable(L);
  clua_open_base(L);

  lua_newtable(L);
  clua_open_string(L);
  lua_pushliteral(L, "");
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
  lua_setfield(L, 1, "string");

  lua_newtable(L);
  clua_open_table(L);
  lua_setfield(L, 1, "table");

  luaL_requiref(L, "math", luaopen_math, 0);
  static const char *const random[] = {"random", "randomseed"};
  for (size_t i = 0; i < sizeof random / sizeof *random; i++) {
    lua_pushnil(L);
    lua_setfield(L, -2, random[i]);
  }
  lua_setfield(L, 1, "math");

  lua_pushvalue(L, 1);
  lua_setfield(L, 1, "_G");
  lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  return 0;
}

clua_host *clua_open(const clua_limits *limits) {
  clua_host *host = calloc(1, sizeof *host);
  if (host == NULL) return NULL;
  host->limits = *limits;
  host->state = lua_newstate(allocate, host);
  if (host->state == NULL) {
    free(host);
    return NULL;
  }
  *(clua_host **)lua_getextraspace(host->state) = host;
  int outcome = enter(host, set_up);
  if (outcome != CLUA_OK && outcome != CLUA_MEMORY) {
    clua_close(host);
    return NULL;
  }
  lua_sethook(host->state, hook, LUA_MASKCOUNT, INTERVAL);
  return host;
}

void clua_close(clua_host *host) {
  if (host == NULL) return;
  lua_close(host->state);
  free(host->answer.start);
  free(host->message.start);
  free(host->printed.start);
  free(host);
}

/* Keys under which the script's table is kept in the registry. */
static const char kept = 0;

static const char *const members[] = {"api", "naming", "labels", "retention", "attachment"};

static void check_shape(lua_State *L) {
  if (!lua_istable(L, -1)) {
    clua_refuse(
        L, CLUA_SHAPE, "it must return a table such as { api = 1, naming = function(ctx) … end }, not a %s",
        luaL_typename(L, -1));
  }
  int points = 0;
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    if (lua_type(L, -2) != LUA_TSTRING) {
      clua_refuse(L, CLUA_SHAPE, "the table that it returns has a key that is a %s", luaL_typename(L, -2));
    }
    const char *key = lua_tostring(L, -2);
    size_t index = 0, count = sizeof members / sizeof *members;
    while (index < count && strcmp(key, members[index]) != 0) index++;
    if (index == count) {
      clua_refuse(
          L, CLUA_SHAPE, "the table that it returns has the unknown key '%s'; known are api, naming, labels, "
          "retention and attachment", key);
    }
    if (index > 0) {
      if (!lua_isfunction(L, -1)) {
        clua_refuse(L, CLUA_SHAPE, "%s must be a function, not a %s", key, luaL_typename(L, -1));
      }
      points++;
    } else if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) != 1) {
      clua_refuse(L, CLUA_SHAPE, "api must be 1, the version of docs/hooks.md");
    }
    lua_pop(L, 1);
  }
  lua_pushliteral(L, "api");
  if (lua_rawget(L, -2) == LUA_TNIL) clua_refuse(L, CLUA_SHAPE, "api = 1 is missing in the table that it returns");
  lua_pop(L, 1);
  if (points == 0) clua_refuse(L, CLUA_SHAPE, "the table that it returns has no function for any point");
}

static int load(lua_State *L) {
  clua_host *host = clua_host_of(L);
  lua_pushfstring(L, "@%s", host->name);
  const char *name = lua_tostring(L, -1);
  if (luaL_loadbufferx(L, host->input, host->input_length, name, "t") != LUA_OK) {
    host->refusal = CLUA_SYNTAX;
    lua_error(L);
  }
  lua_call(L, 0, 1);
  check_shape(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &kept);
  return 0;
}

int clua_load(clua_host *host, const char *name, const char *source, size_t length) {
  if (host->limit != 0) return host->limit;
  host->name = name;
  host->input = source;
  host->input_length = length;
  return enter(host, load);
}

static void push_function(lua_State *L, const char *point) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &kept) != LUA_TTABLE) {
    lua_pushnil(L);
    return;
  }
  lua_pushstring(L, point);
  lua_rawget(L, -2);
}

static int handles(lua_State *L) {
  clua_host *host = clua_host_of(L);
  push_function(L, host->name);
  host->input_length = lua_isfunction(L, -1);
  return 0;
}

int clua_handles(clua_host *host, const char *point) {
  host->name = point;
  host->input_length = 0;
  return enter(host, handles) == CLUA_OK && host->input_length == 1;
}

static int ask(lua_State *L) {
  clua_host *host = clua_host_of(L);
  push_function(L, host->name);
  if (!lua_isfunction(L, -1)) clua_refuse(L, CLUA_SHAPE, "it has no function %s", host->name);
  clua_push_document(L, host->input, host->input_length);
  lua_call(L, 1, 1);
  clua_write_document(L, lua_gettop(L));
  return 0;
}

int clua_ask(clua_host *host, const char *point, const uint8_t *context, size_t length) {
  host->name = point;
  host->input = context;
  host->input_length = length;
  host->answer.length = 0;
  return enter(host, ask);
}

const uint8_t *clua_answer(const clua_host *host, size_t *length) {
  *length = host->answer.length;
  return (const uint8_t *)host->answer.start;
}

const char *clua_message(const clua_host *host, size_t *length) {
  *length = host->message.length;
  return host->message.start;
}

int clua_line(const clua_host *host) { return host->line; }

const char *clua_printed(const clua_host *host, size_t *length, int *more) {
  *length = host->printed.length;
  *more = host->printed_more;
  return host->printed.start;
}

uint64_t clua_used_instructions(const clua_host *host) { return host->used; }
size_t clua_peak_memory(const clua_host *host) { return host->peak; }
