#include <string.h>

#include "Host.h"

/* What `pcall` and its like do with a limit: it goes through them. */
static void pass_limits_on(lua_State *L, int status) {
  clua_host *host = clua_host_of(L);
  if (host->limit != 0) clua_hit(L, host->limit);
  if (status == LUA_ERRMEM) clua_hit(L, CLUA_MEMORY);
}

static int base_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  pass_limits_on(L, status);
  luaL_checkstack(L, 1, NULL);
  lua_pushboolean(L, status == LUA_OK);
  lua_insert(L, 1);
  return lua_gettop(L);
}

/* The handler runs after the stack is unwound: Lua's own calls it where an error is raised, and in a hook's error that
   is a place in which nothing counts instructions. */
static int base_xpcall(lua_State *L) {
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 1);
  lua_remove(L, 1);
  lua_insert(L, 2);
  int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
  pass_limits_on(L, status);
  if (status != LUA_OK) {
    lua_call(L, 1, LUA_MULTRET);
    luaL_checkstack(L, 1, NULL);
    lua_pushboolean(L, 0);
    lua_insert(L, 1);
    return lua_gettop(L);
  }
  lua_pushboolean(L, 1);
  lua_replace(L, 1);
  return lua_gettop(L);
}

static int base_setmetatable(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, lua_isnoneornil(L, 2) || lua_istable(L, 2), 2, "nil or table");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return luaL_error(L, "cannot change a protected metatable");
  if (lua_istable(L, 2)) {
    /* Finalizers run where nothing counts their instructions, and what they and weak tables show depends on when
       garbage is collected. Lua looks for these fields only here. */
    static const char *const refused[] = {"__gc", "__mode"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
      lua_pushstring(L, refused[i]);
      if (lua_rawget(L, 2) != LUA_TNIL) return luaL_error(L, "%s is not available to policies", refused[i]);
      lua_pop(L, 1);
    }
  }
  lua_settop(L, 2);
  lua_setmetatable(L, 1);
  return 1;
}

void clua_push_text(lua_State *L, int index) {
  index = lua_absindex(L, index);
  if (luaL_callmeta(L, index, "__tostring")) {
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "'__tostring' must return a string");
    return;
  }
  switch (lua_type(L, index)) {
    case LUA_TNIL: lua_pushliteral(L, "nil"); break;
    case LUA_TBOOLEAN: lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false"); break;
    case LUA_TNUMBER:
    case LUA_TSTRING:
      lua_pushvalue(L, index);
      lua_tolstring(L, -1, NULL);
      break;
    default: lua_pushstring(L, luaL_typename(L, index));
  }
}

static int base_tostring(lua_State *L) {
  luaL_checkany(L, 1);
  clua_push_text(L, 1);
  return 1;
}

static void print_bytes(clua_host *host, const char *start, size_t length) {
  size_t room = CLUA_PRINTED - host->printed.length;
  if (length > room) host->printed_more = 1;
  if (length > room) length = room;
  clua_append(&host->printed, start, length);
}

static int base_print(lua_State *L) {
  clua_host *host = clua_host_of(L);
  int count = lua_gettop(L);
  for (int i = 1; i <= count; i++) {
    size_t length;
    clua_push_text(L, i);
    const char *text = lua_tolstring(L, -1, &length);
    clua_charge_bytes(L, length);
    if (i > 1) print_bytes(host, "\t", 1);
    print_bytes(host, text, length);
    lua_pop(L, 1);
  }
  print_bytes(host, "\n", 1);
  return 0;
}

/* The order of keys: numbers, then strings by their bytes, then booleans. */
static int rank(lua_State *L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TNUMBER: return 0;
    case LUA_TSTRING: return 1;
    case LUA_TBOOLEAN: return 2;
    default: return luaL_error(L, "a table with a key that is a %s has no order to go through it", luaL_typename(L, index));
  }
}

static int key_less(lua_State *L, int one, int other, int context) {
  (void)context;
  int ranks[2] = {rank(L, one), rank(L, other)};
  if (ranks[0] != ranks[1]) return ranks[0] < ranks[1];
  if (ranks[0] == 0) return lua_compare(L, one, other, LUA_OPLT);
  if (ranks[0] == 2) return lua_toboolean(L, one) < lua_toboolean(L, other);
  size_t lengths[2];
  const char *texts[2] = {lua_tolstring(L, one, &lengths[0]), lua_tolstring(L, other, &lengths[1])};
  size_t shorter = lengths[0] < lengths[1] ? lengths[0] : lengths[1];
  clua_charge_bytes(L, shorter);
  int order = memcmp(texts[0], texts[1], shorter);
  return order < 0 || (order == 0 && lengths[0] < lengths[1]);
}

/* Upvalues: the table, its keys in order, and how many of them were passed. */
static int pairs_step(lua_State *L) {
  lua_Integer index = lua_tointeger(L, lua_upvalueindex(3));
  while (1) {
    clua_charge(L, 1);
    index++;
    lua_pushinteger(L, index);
    lua_replace(L, lua_upvalueindex(3));
    if (lua_rawgeti(L, lua_upvalueindex(2), index) == LUA_TNIL) return 1;
    lua_pushvalue(L, -1);
    /* What was removed on the way is passed over. */
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 2;
    lua_pop(L, 2);
  }
}

static int base_pairs(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_newtable(L);
  lua_Integer count = 0;
  lua_pushnil(L);
  while (lua_next(L, 1) != 0) {
    clua_charge(L, 1);
    lua_pop(L, 1);
    rank(L, -1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, 2, ++count);
  }
  clua_sort(L, 2, count, key_less, 0);
  lua_pushvalue(L, 1);
  lua_insert(L, 1);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, pairs_step, 3);
  lua_insert(L, 1);
  lua_settop(L, 2);
  lua_pushnil(L);
  return 3;
}

/* The smallest key after the given one: as `pairs` goes, but each call looks at the whole table. */
static int base_next(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  lua_pushnil(L);
  int best = 3;
  lua_pushnil(L);
  while (lua_next(L, 1) != 0) {
    clua_charge(L, 1);
    lua_pop(L, 1);
    int key = lua_gettop(L);
    rank(L, key);
    if (!lua_isnil(L, 2) && !key_less(L, 2, key, 0)) continue;
    if (!lua_isnil(L, best) && !key_less(L, key, best, 0)) continue;
    lua_pushvalue(L, key);
    lua_replace(L, best);
  }
  if (lua_isnil(L, best)) return 1;
  lua_pushvalue(L, best);
  lua_rawget(L, 1);
  return 2;
}

void clua_open_base(lua_State *L) {
  int table = lua_gettop(L);
  luaL_requiref(L, "_G", luaopen_base, 0);
  static const char *const taken[] = {"assert", "error",  "getmetatable", "ipairs",   "rawequal", "rawget",
                                      "rawlen", "rawset", "select",       "tonumber", "type",     "_VERSION"};
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    lua_getfield(L, -1, taken[i]);
    lua_setfield(L, table, taken[i]);
  }
  lua_pop(L, 1);
  static const luaL_Reg own[] = {
      {"pcall", base_pcall}, {"xpcall", base_xpcall}, {"setmetatable", base_setmetatable},
      {"tostring", base_tostring}, {"print", base_print}, {"pairs", base_pairs}, {"next", base_next}, {NULL, NULL},
  };
  luaL_setfuncs(L, own, 0);
}
