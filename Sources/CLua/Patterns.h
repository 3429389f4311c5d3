#pragma once

#include "Host.h"

/* The functions of the string library that match patterns. Each step of a match is charged, so that a pattern for which
   there are exponentially many ways ends at the limit like any other loop. */
int clua_string_find(lua_State *L);
int clua_string_match(lua_State *L);
int clua_string_gmatch(lua_State *L);
int clua_string_gsub(lua_State *L);
