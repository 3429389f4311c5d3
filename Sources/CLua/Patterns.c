#define _GNU_SOURCE
#include "Patterns.h"

#include <ctype.h>
#include <string.h>

/* Lua's patterns as its reference manual describes them in 6.4.1, matched by going back and trying the next way. */

typedef unsigned char byte;

enum { CAPTURES = 32, DEPTH = 200 };
/* Lengths of captures that are no lengths. */
enum { OPEN = -1, POSITION = -2 };

typedef struct match {
  lua_State *L;
  const byte *text, *text_end;
  const byte *pattern_end;
  int depth;
  int captures;
  struct {
    const byte *start;
    ptrdiff_t length;
  } capture[CAPTURES];
} match;

static const byte *run(match *m, const byte *at, const byte *p);

/* Behind the single item that begins at `p`: a character, an escape, a set. */
static const byte *item_end(match *m, const byte *p) {
  byte first = *p++;
  if (first == '%') {
    if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
    return p + 1;
  }
  if (first != '[') return p;
  if (p < m->pattern_end && *p == '^') p++;
  for (int is_first = 1;; is_first = 0) {
    if (p >= m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
    byte c = *p++;
    if (c == ']' && !is_first) return p;
    if (c == '%' && p++ >= m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
  }
}

static int in_class(byte c, byte class) {
  int found;
  switch (tolower(class)) {
    case 'a': found = isalpha(c); break;
    case 'c': found = iscntrl(c); break;
    case 'd': found = isdigit(c); break;
    case 'g': found = isgraph(c); break;
    case 'l': found = islower(c); break;
    case 'p': found = ispunct(c); break;
    case 's': found = isspace(c); break;
    case 'u': found = isupper(c); break;
    case 'w': found = isalnum(c); break;
    case 'x': found = isxdigit(c); break;
    default: return class == c;
  }
  return (found != 0) != (isupper(class) != 0);
}

/* `p` is the set's `[`, `end` is behind its `]`. */
static int in_set(match *m, byte c, const byte *p, const byte *end) {
  clua_charge(m->L, (uint64_t)(end - p));
  const byte *close = end - 1;
  int negated = *++p == '^';
  if (negated) p++;
  while (p < close) {
    if (*p == '%') {
      if (in_class(c, p[1])) return !negated;
      p += 2;
    } else if (close - p > 2 && p[1] == '-') {
      if (p[0] <= c && c <= p[2]) return !negated;
      p += 3;
    } else {
      if (*p == c) return !negated;
      p++;
    }
  }
  return negated;
}

static int fits(match *m, const byte *at, const byte *p, const byte *end) {
  clua_charge(m->L, 1);
  if (at >= m->text_end) return 0;
  switch (*p) {
    case '.': return 1;
    case '%': return in_class(*at, p[1]);
    case '[': return in_set(m, *at, p, end);
    default: return *p == *at;
  }
}

/* As many as there are, then fewer. */
static const byte *greedy(match *m, const byte *at, const byte *p, const byte *end, ptrdiff_t least) {
  ptrdiff_t count = 0;
  while (fits(m, at + count, p, end)) count++;
  for (; count >= least; count--) {
    const byte *result = run(m, at + count, end + 1);
    if (result != NULL) return result;
  }
  return NULL;
}

/* As few as there are, then more. */
static const byte *lazy(match *m, const byte *at, const byte *p, const byte *end) {
  while (1) {
    const byte *result = run(m, at, end + 1);
    if (result != NULL) return result;
    if (!fits(m, at, p, end)) return NULL;
    at++;
  }
}

static const byte *open_capture(match *m, const byte *at, const byte *p, ptrdiff_t kind) {
  if (m->captures >= CAPTURES) luaL_error(m->L, "too many captures");
  m->capture[m->captures].start = at;
  m->capture[m->captures].length = kind;
  m->captures++;
  const byte *result = run(m, at, p);
  if (result == NULL) m->captures--;
  return result;
}

static const byte *close_capture(match *m, const byte *at, const byte *p) {
  int index = m->captures - 1;
  while (index >= 0 && m->capture[index].length != OPEN) index--;
  if (index < 0) luaL_error(m->L, "invalid pattern capture");
  m->capture[index].length = at - m->capture[index].start;
  const byte *result = run(m, at, p);
  if (result == NULL) m->capture[index].length = OPEN;
  return result;
}

/* Behind the text between a pair of brackets that begins here. */
static const byte *balanced(match *m, const byte *at, const byte *pair) {
  if (m->pattern_end - pair < 2) luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
  if (at >= m->text_end || *at != pair[0]) return NULL;
  size_t open = 1;
  for (at++; at < m->text_end; at++) {
    clua_charge(m->L, 1);
    if (*at == pair[1]) {
      if (--open == 0) return at + 1;
    } else if (*at == pair[0]) {
      open++;
    }
  }
  return NULL;
}

static const byte *repeated(match *m, const byte *at, byte digit) {
  int index = digit - '1';
  if (index < 0 || index >= m->captures || m->capture[index].length == OPEN) {
    luaL_error(m->L, "invalid capture index %%%d in pattern", index + 1);
  }
  ptrdiff_t length = m->capture[index].length;
  if (length == POSITION) length = 0;
  clua_charge_bytes(m->L, (size_t)length);
  if (m->text_end - at < length || memcmp(m->capture[index].start, at, (size_t)length) != 0) return NULL;
  return at + length;
}

/* Where the rest of the pattern ends that is matched from here on; NULL where it does not match. */
static const byte *run(match *m, const byte *at, const byte *p) {
  if (++m->depth > DEPTH) luaL_error(m->L, "pattern too complex");
  const byte *result = NULL;
  while (1) {
    clua_charge(m->L, 1);
    if (p == m->pattern_end) {
      result = at;
      break;
    }
    byte escaped = *p == '%' && p + 1 < m->pattern_end ? p[1] : 0;
    if (*p == '(') {
      int position = p + 1 < m->pattern_end && p[1] == ')';
      result = open_capture(m, at, p + 1 + position, position ? POSITION : OPEN);
      break;
    }
    if (*p == ')') {
      result = close_capture(m, at, p + 1);
      break;
    }
    if (*p == '$' && p + 1 == m->pattern_end) {
      result = at == m->text_end ? at : NULL;
      break;
    }
    if (escaped == 'b') {
      at = balanced(m, at, p + 2);
      if (at == NULL) break;
      p += 4;
      continue;
    }
    if (escaped == 'f') {
      p += 2;
      if (p == m->pattern_end || *p != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
      const byte *end = item_end(m, p);
      byte before = at == m->text ? 0 : at[-1], here = at == m->text_end ? 0 : *at;
      if (in_set(m, before, p, end) || !in_set(m, here, p, end)) break;
      p = end;
      continue;
    }
    if (isdigit(escaped)) {
      at = repeated(m, at, escaped);
      if (at == NULL) break;
      p += 2;
      continue;
    }
    const byte *end = item_end(m, p);
    byte quantifier = end < m->pattern_end ? *end : 0;
    if (quantifier == '*' || quantifier == '+') {
      result = greedy(m, at, p, end, quantifier == '+');
      break;
    }
    if (quantifier == '-') {
      result = lazy(m, at, p, end);
      break;
    }
    int one = fits(m, at, p, end);
    if (quantifier == '?') {
      if (one && (result = run(m, at + 1, end + 1)) != NULL) break;
      p = end + 1;
      continue;
    }
    if (!one) break;
    at++;
    p = end;
  }
  m->depth--;
  return result;
}

static void begin(match *m) {
  m->depth = 0;
  m->captures = 0;
}

static void prepare(match *m, lua_State *L, const char *text, size_t length, const char *pattern, size_t pattern_length) {
  m->L = L;
  m->text = (const byte *)text;
  m->text_end = m->text + length;
  m->pattern_end = (const byte *)pattern + pattern_length;
  begin(m);
}

/* Capture number `index` from 0; the whole match where there are none. */
static void push_capture(match *m, int index, const byte *start, const byte *end) {
  lua_State *L = m->L;
  if (index >= m->captures) {
    if (index != 0) luaL_error(L, "invalid capture index %%%d", index + 1);
    clua_charge_bytes(L, (size_t)(end - start));
    lua_pushlstring(L, (const char *)start, (size_t)(end - start));
    return;
  }
  ptrdiff_t length = m->capture[index].length;
  if (length == OPEN) luaL_error(L, "unfinished capture");
  if (length == POSITION) {
    lua_pushinteger(L, m->capture[index].start - m->text + 1);
    return;
  }
  clua_charge_bytes(L, (size_t)length);
  lua_pushlstring(L, (const char *)m->capture[index].start, (size_t)length);
}

/* All captures; the whole match where there are none and `start` is one. */
static int push_captures(match *m, const byte *start, const byte *end) {
  int count = m->captures == 0 && start != NULL ? 1 : m->captures;
  luaL_checkstack(m->L, count, "too many captures");
  for (int i = 0; i < count; i++) push_capture(m, i, start, end);
  return count;
}

/* The offset that an argument means, at most one past the end. */
static size_t start_offset(lua_State *L, int argument, size_t length) {
  lua_Integer start = luaL_optinteger(L, argument, 1);
  if (start > 0) return (lua_Unsigned)start - 1 > length ? length + 1 : (size_t)start - 1;
  if (start == 0 || start < -(lua_Integer)length) return 0;
  return length - (size_t)(-start);
}

static int search(lua_State *L, int is_find) {
  size_t length, pattern_length;
  const char *text = luaL_checklstring(L, 1, &length);
  const char *pattern = luaL_checklstring(L, 2, &pattern_length);
  size_t offset = start_offset(L, 3, length);
  if (offset > length) {
    lua_pushnil(L);
    return 1;
  }
  if (is_find && (lua_toboolean(L, 4) || strcspn(pattern, "^$*+?.([%-") == pattern_length)) {
    clua_charge_bytes(L, length - offset + pattern_length);
    const char *found = memmem(text + offset, length - offset, pattern, pattern_length);
    if (found == NULL) {
      lua_pushnil(L);
      return 1;
    }
    lua_pushinteger(L, found - text + 1);
    lua_pushinteger(L, found - text + (ptrdiff_t)pattern_length);
    return 2;
  }
  int anchored = pattern_length > 0 && pattern[0] == '^';
  match m;
  prepare(&m, L, text, length, pattern, pattern_length);
  const byte *p = (const byte *)pattern + anchored;
  for (const byte *at = m.text + offset; at <= m.text_end; at++) {
    begin(&m);
    const byte *end = run(&m, at, p);
    if (end != NULL) {
      if (!is_find) return push_captures(&m, at, end);
      lua_pushinteger(L, at - m.text + 1);
      lua_pushinteger(L, end - m.text);
      return 2 + push_captures(&m, NULL, NULL);
    }
    if (anchored) break;
  }
  lua_pushnil(L);
  return 1;
}

int clua_string_find(lua_State *L) { return search(L, 1); }
int clua_string_match(lua_State *L) { return search(L, 0); }

/* Upvalues: text, pattern, the offset to go on from, and where the last match ended (-1: nowhere). */
static int gmatch_step(lua_State *L) {
  size_t length, pattern_length;
  const char *text = lua_tolstring(L, lua_upvalueindex(1), &length);
  const char *pattern = lua_tolstring(L, lua_upvalueindex(2), &pattern_length);
  size_t offset = (size_t)lua_tointeger(L, lua_upvalueindex(3));
  lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
  if (offset > length) return 0;
  match m;
  prepare(&m, L, text, length, pattern, pattern_length);
  for (const byte *at = m.text + offset; at <= m.text_end; at++) {
    begin(&m);
    const byte *end = run(&m, at, (const byte *)pattern);
    if (end == NULL || end - m.text == last) continue;
    lua_pushinteger(L, end - m.text);
    lua_pushvalue(L, -1);
    lua_replace(L, lua_upvalueindex(3));
    lua_replace(L, lua_upvalueindex(4));
    return push_captures(&m, at, end);
  }
  return 0;
}

int clua_string_gmatch(lua_State *L) {
  size_t length;
  luaL_checklstring(L, 1, &length);
  luaL_checkstring(L, 2);
  size_t offset = start_offset(L, 3, length);
  lua_settop(L, 2);
  lua_pushinteger(L, (lua_Integer)offset);
  lua_pushinteger(L, -1);
  lua_pushcclosure(L, gmatch_step, 4);
  return 1;
}

/* Adds a replacement string, in which %0 to %9 and %% mean something. */
static void add_expanded(match *m, luaL_Buffer *buffer, const byte *start, const byte *end) {
  lua_State *L = m->L;
  size_t length;
  const char *at = lua_tolstring(L, 3, &length);
  const char *stop = at + length;
  clua_charge_bytes(L, length);
  while (at < stop) {
    const char *percent = memchr(at, '%', (size_t)(stop - at));
    luaL_addlstring(buffer, at, (size_t)((percent != NULL ? percent : stop) - at));
    if (percent == NULL) return;
    at = percent + 1;
    if (at == stop || (*at != '%' && !isdigit((byte)*at))) {
      luaL_error(L, "invalid use of '%%' in replacement string");
    }
    if (*at == '%') {
      luaL_addchar(buffer, '%');
    } else if (*at == '0') {
      clua_charge_bytes(L, (size_t)(end - start));
      luaL_addlstring(buffer, (const char *)start, (size_t)(end - start));
    } else {
      push_capture(m, *at - '1', start, end);
      lua_tolstring(L, -1, NULL);
      luaL_addvalue(buffer);
    }
    at++;
  }
}

static void add_replacement(match *m, luaL_Buffer *buffer, const byte *start, const byte *end, int type) {
  lua_State *L = m->L;
  if (type == LUA_TFUNCTION) {
    lua_pushvalue(L, 3);
    int count = push_captures(m, start, end);
    lua_call(L, count, 1);
  } else if (type == LUA_TTABLE) {
    push_capture(m, 0, start, end);
    lua_gettable(L, 3);
  } else {
    add_expanded(m, buffer, start, end);
    return;
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    lua_pushlstring(L, (const char *)start, (size_t)(end - start));
  } else if (!lua_isstring(L, -1)) {
    luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
  }
  lua_tolstring(L, -1, NULL);
  clua_charge_bytes(L, lua_rawlen(L, -1));
  luaL_addvalue(buffer);
}

int clua_string_gsub(lua_State *L) {
  size_t length, pattern_length;
  const char *text = luaL_checklstring(L, 1, &length);
  const char *pattern = luaL_checklstring(L, 2, &pattern_length);
  int type = lua_type(L, 3);
  luaL_argexpected(
      L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
      "string/function/table");
  lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)length + 1);
  int anchored = pattern_length > 0 && pattern[0] == '^';
  lua_settop(L, 3);
  match m;
  prepare(&m, L, text, length, pattern, pattern_length);
  const byte *at = m.text, *last = NULL;
  lua_Integer count = 0;
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  while (count < most) {
    begin(&m);
    const byte *end = run(&m, at, (const byte *)pattern + anchored);
    if (end != NULL && end != last) {
      count++;
      add_replacement(&m, &buffer, at, end, type);
      at = last = end;
    } else if (at < m.text_end) {
      luaL_addchar(&buffer, (char)*at++);
    } else {
      break;
    }
    if (anchored) break;
  }
  luaL_addlstring(&buffer, (const char *)at, (size_t)(m.text_end - at));
  luaL_pushresult(&buffer);
  lua_pushinteger(L, count);
  return 2;
}
