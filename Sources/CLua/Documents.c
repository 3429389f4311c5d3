#include <string.h>

#include "Host.h"

enum { DEPTH = 32 };

typedef struct reader {
  const uint8_t *at, *end;
} reader;

static const uint8_t *take(lua_State *L, reader *from, size_t length) {
  if ((size_t)(from->end - from->at) < length) clua_refuse(L, CLUA_DOCUMENT, "the context is cut off");
  const uint8_t *start = from->at;
  from->at += length;
  return start;
}

static uint64_t number(lua_State *L, reader *from, size_t width) {
  const uint8_t *start = take(L, from, width);
  uint64_t value = 0;
  for (size_t i = width; i > 0; i--) value = value << 8 | start[i - 1];
  return value;
}

static void push_bytes(lua_State *L, reader *from) {
  size_t length = (size_t)number(L, from, 4);
  const uint8_t *start = take(L, from, length);
  lua_pushlstring(L, (const char *)start, length);
}

static void push_value(lua_State *L, reader *from, int depth) {
  if (depth > DEPTH) clua_refuse(L, CLUA_DOCUMENT, "the context is nested deeper than %d levels", DEPTH);
  luaL_checkstack(L, 3, NULL);
  uint8_t kind = *take(L, from, 1);
  switch (kind) {
    case 'n': lua_pushnil(L); break;
    case 'f':
    case 't': lua_pushboolean(L, kind == 't'); break;
    case 'i': lua_pushinteger(L, (lua_Integer)number(L, from, 8)); break;
    case 'd': {
      uint64_t bits = number(L, from, 8);
      double value;
      memcpy(&value, &bits, sizeof value);
      lua_pushnumber(L, value);
      break;
    }
    case 's': push_bytes(L, from); break;
    case 'a':
    case 'o': {
      uint64_t count = number(L, from, 4);
      lua_newtable(L);
      for (uint64_t i = 1; i <= count; i++) {
        if (kind == 'o') push_bytes(L, from);
        push_value(L, from, depth + 1);
        if (kind == 'o') {
          lua_rawset(L, -3);
        } else {
          lua_rawseti(L, -2, (lua_Integer)i);
        }
      }
      break;
    }
    default: clua_refuse(L, CLUA_DOCUMENT, "the context has a value of an unknown kind");
  }
}

void clua_push_document(lua_State *L, const uint8_t *start, size_t length) {
  reader from = {start, start + length};
  push_value(L, &from, 1);
}

static void put(lua_State *L, const void *start, size_t length) {
  clua_host *host = clua_host_of(L);
  if (length > host->limits.document - host->answer.length) {
    clua_refuse(L, CLUA_DOCUMENT, "it returned more than %d bytes", (int)host->limits.document);
  }
  if (!clua_append(&host->answer, start, length)) clua_hit(L, CLUA_MEMORY);
}

static void put_number(lua_State *L, uint64_t value, size_t width) {
  uint8_t out[8];
  for (size_t i = 0; i < width; i++) out[i] = (uint8_t)(value >> (8 * i));
  put(L, out, width);
}

static void put_bytes(lua_State *L, int index) {
  size_t length;
  const char *text = lua_tolstring(L, index, &length);
  if (length > UINT32_MAX) clua_refuse(L, CLUA_DOCUMENT, "it returned a string of %d bytes or more", (int)INT32_MAX);
  put_number(L, length, 4);
  put(L, text, length);
}

static void write_value(lua_State *L, int index, int depth);

static void write_table(lua_State *L, int index, int depth) {
  lua_Integer count = 0, strings = 0, largest = 0;
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    clua_charge(L, 1);
    lua_pop(L, 1);
    count++;
    if (lua_type(L, -1) == LUA_TSTRING) {
      strings++;
    } else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) > 0) {
      if (lua_tointeger(L, -1) > largest) largest = lua_tointeger(L, -1);
    } else {
      clua_refuse(L, CLUA_DOCUMENT, "it returned a table with a key that is neither a string nor an index from 1 on");
    }
  }
  if (strings != count && (strings != 0 || largest != count)) {
    clua_refuse(L, CLUA_DOCUMENT, "it returned a table that is neither an array without gaps nor all names");
  }
  put(L, count > 0 && strings == 0 ? "a" : "o", 1);
  put_number(L, (uint64_t)count, 4);
  if (count > 0 && strings == 0) {
    for (lua_Integer i = 1; i <= count; i++) {
      lua_rawgeti(L, index, i);
      write_value(L, lua_gettop(L), depth + 1);
      lua_pop(L, 1);
    }
    return;
  }
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    put_bytes(L, -2);
    write_value(L, lua_gettop(L), depth + 1);
    lua_pop(L, 1);
  }
}

static void write_value(lua_State *L, int index, int depth) {
  clua_charge(L, 1);
  if (depth > DEPTH) clua_refuse(L, CLUA_DOCUMENT, "it returned a table that is cyclic, or deeper than %d levels", DEPTH);
  luaL_checkstack(L, 4, NULL);
  switch (lua_type(L, index)) {
    case LUA_TNIL: put(L, "n", 1); break;
    case LUA_TBOOLEAN: put(L, lua_toboolean(L, index) ? "t" : "f", 1); break;
    case LUA_TNUMBER:
      if (lua_isinteger(L, index)) {
        put(L, "i", 1);
        put_number(L, (uint64_t)lua_tointeger(L, index), 8);
      } else {
        double value = lua_tonumber(L, index);
        if (value != value || value - value != 0) clua_refuse(L, CLUA_DOCUMENT, "it returned a number that is not finite");
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        put(L, "d", 1);
        put_number(L, bits, 8);
      }
      break;
    case LUA_TSTRING:
      put(L, "s", 1);
      put_bytes(L, index);
      break;
    case LUA_TTABLE: write_table(L, index, depth); break;
    default: clua_refuse(L, CLUA_DOCUMENT, "it returned a %s where a plain value is expected", luaL_typename(L, index));
  }
}

void clua_write_document(lua_State *L, int index) { write_value(L, index, 1); }
