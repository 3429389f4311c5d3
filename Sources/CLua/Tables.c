#include <limits.h>
#include <stdint.h>

#include "Host.h"

/* The library of tables, without metamethods: what a function does depends on the table alone, and so does how long it
   takes. */

static void merge(
    lua_State *L, int from, int to, lua_Integer low, lua_Integer middle, lua_Integer high, clua_less less, int context) {
  lua_Integer one = low, other = middle;
  for (lua_Integer out = low; out < high; out++) {
    clua_charge(L, 1);
    int takes_other = 0;
    if (one >= middle) {
      takes_other = 1;
    } else if (other < high) {
      lua_rawgeti(L, from, other);
      lua_rawgeti(L, from, one);
      takes_other = less(L, lua_gettop(L) - 1, lua_gettop(L), context);
      lua_pop(L, 2);
    }
    lua_rawgeti(L, from, takes_other ? other++ : one++);
    lua_rawseti(L, to, out);
  }
}

void clua_sort(lua_State *L, int index, lua_Integer count, clua_less less, int context) {
  if (count < 2) return;
  luaL_checkstack(L, 8, NULL);
  index = lua_absindex(L, index);
  lua_createtable(L, count < INT_MAX ? (int)count : 0, 0);
  int from = index, to = lua_gettop(L);
  for (lua_Integer width = 1; width < count; width *= 2) {
    for (lua_Integer low = 1; low <= count; low += 2 * width) {
      lua_Integer middle = low + width <= count ? low + width : count + 1;
      lua_Integer high = middle + width <= count ? middle + width : count + 1;
      merge(L, from, to, low, middle, high, less, context);
    }
    int other = from;
    from = to;
    to = other;
  }
  if (from != index) {
    for (lua_Integer i = 1; i <= count; i++) {
      lua_rawgeti(L, from, i);
      lua_rawseti(L, index, i);
    }
  }
  lua_pop(L, 1);
}

static int value_less(lua_State *L, int one, int other, int context) {
  if (context != 0) {
    lua_pushvalue(L, context);
    lua_pushvalue(L, one);
    lua_pushvalue(L, other);
    lua_call(L, 2, 1);
    int answer = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return answer;
  }
  if (lua_type(L, one) == LUA_TSTRING) clua_charge_bytes(L, lua_rawlen(L, one));
  return lua_compare(L, one, other, LUA_OPLT);
}

static lua_Integer length(lua_State *L, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  return (lua_Integer)lua_rawlen(L, index);
}

static int table_sort(lua_State *L) {
  lua_Integer count = length(L, 1);
  luaL_argcheck(L, count < INT_MAX, 1, "array too big");
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  clua_sort(L, 1, count, value_less, lua_isnil(L, 2) ? 0 : 2);
  return 0;
}

static int table_insert(lua_State *L) {
  lua_Integer end = length(L, 1) + 1;
  lua_Integer position = end;
  switch (lua_gettop(L)) {
    case 2: break;
    case 3:
      position = luaL_checkinteger(L, 2);
      luaL_argcheck(L, (lua_Unsigned)position - 1u < (lua_Unsigned)end, 2, "position out of bounds");
      clua_charge(L, (uint64_t)(end - position) + 1);
      for (lua_Integer i = end; i > position; i--) {
        lua_rawgeti(L, 1, i - 1);
        lua_rawseti(L, 1, i);
      }
      break;
    default: return luaL_error(L, "wrong number of arguments to 'insert'");
  }
  lua_rawseti(L, 1, position);
  return 0;
}

static int table_remove(lua_State *L) {
  lua_Integer size = length(L, 1);
  lua_Integer position = luaL_optinteger(L, 2, size);
  if (!lua_isnoneornil(L, 2)) {
    luaL_argcheck(L, (lua_Unsigned)position - 1u <= (lua_Unsigned)size, 2, "position out of bounds");
  }
  lua_rawgeti(L, 1, position);
  if (position < size) clua_charge(L, (uint64_t)size - (uint64_t)position + 1);
  for (; position < size; position++) {
    lua_rawgeti(L, 1, position + 1);
    lua_rawseti(L, 1, position);
  }
  if (position <= size || size == 0) {
    lua_pushnil(L);
    lua_rawseti(L, 1, position);
  }
  return 1;
}

static int table_concat(lua_State *L) {
  lua_Integer size = length(L, 1);
  size_t separator_length;
  const char *separator = luaL_optlstring(L, 2, "", &separator_length);
  lua_Integer first = luaL_optinteger(L, 3, 1);
  lua_Integer last = luaL_optinteger(L, 4, size);
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  for (lua_Integer i = first; i <= last; i++) {
    int type = lua_rawgeti(L, 1, i);
    if (type != LUA_TSTRING && type != LUA_TNUMBER) {
      return luaL_error(L, "invalid value (a %s) at index %I in table for 'concat'", lua_typename(L, type), i);
    }
    clua_charge_bytes(L, (type == LUA_TSTRING ? lua_rawlen(L, -1) : 8) + separator_length);
    luaL_addvalue(&buffer);
    if (i == last) break;
    luaL_addlstring(&buffer, separator, separator_length);
  }
  luaL_pushresult(&buffer);
  return 1;
}

static int table_pack(lua_State *L) {
  int count = lua_gettop(L);
  lua_createtable(L, count, 1);
  lua_insert(L, 1);
  for (int i = count; i >= 1; i--) lua_rawseti(L, 1, i);
  lua_pushinteger(L, count);
  lua_setfield(L, 1, "n");
  return 1;
}

static int table_unpack(lua_State *L) {
  lua_Integer size = length(L, 1);
  lua_Integer first = luaL_optinteger(L, 2, 1);
  lua_Integer last = luaL_optinteger(L, 3, size);
  if (first > last) return 0;
  lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)first;
  if (count >= (lua_Unsigned)INT_MAX || !lua_checkstack(L, (int)++count)) {
    return luaL_error(L, "too many results to unpack");
  }
  clua_charge(L, count);
  for (lua_Unsigned i = 0; i < count; i++) lua_rawgeti(L, 1, (lua_Integer)((lua_Unsigned)first + i));
  return (int)count;
}

static int table_move(lua_State *L) {
  length(L, 1);
  lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3), place = luaL_checkinteger(L, 4);
  int to = lua_isnoneornil(L, 5) ? 1 : 5;
  length(L, to);
  if (last >= first) {
    luaL_argcheck(L, first > 0 || last < LUA_MAXINTEGER + first, 3, "too many elements to move");
    lua_Integer count = last - first + 1;
    luaL_argcheck(L, place <= LUA_MAXINTEGER - count + 1, 4, "destination wrap around");
    clua_charge(L, (uint64_t)count);
    int upwards = place > last || place <= first || (to != 1 && !lua_rawequal(L, 1, to));
    for (lua_Integer i = 0; i < count; i++) {
      lua_Integer step = upwards ? i : count - 1 - i;
      lua_rawgeti(L, 1, first + step);
      lua_rawseti(L, to, place + step);
    }
  }
  lua_pushvalue(L, to);
  return 1;
}

void clua_open_table(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"concat", table_concat}, {"insert", table_insert}, {"move", table_move}, {"pack", table_pack},
      {"remove", table_remove}, {"sort", table_sort}, {"unpack", table_unpack}, {NULL, NULL},
  };
  luaL_setfuncs(L, functions, 0);
}
