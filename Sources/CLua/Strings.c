#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "Patterns.h"

/* The library of strings, with what each function does counted by its bytes. Left out: dump, pack, packsize, unpack;
   and of `format` the conversions %p, which shows an address, and %q. */

/* Where a position that counts from the end lies; 0 before the start. */
static size_t place(lua_Integer position, size_t length) {
  if (position > 0) return (size_t)position;
  if (position == 0 || position < -(lua_Integer)length) return 0;
  return length + (size_t)position + 1;
}

/* 1-based bounds as string.sub takes them; first > last where nothing is meant. */
static void bounds(lua_State *L, int from, lua_Integer otherwise, size_t length, size_t *first, size_t *last) {
  *first = place(luaL_checkinteger(L, from), length);
  if (*first == 0) *first = 1;
  *last = place(luaL_optinteger(L, from + 1, otherwise), length);
  if (*last > length) *last = length;
}

static int string_len(lua_State *L) {
  size_t length;
  luaL_checklstring(L, 1, &length);
  lua_pushinteger(L, (lua_Integer)length);
  return 1;
}

static int string_sub(lua_State *L) {
  size_t length, first, last;
  const char *text = luaL_checklstring(L, 1, &length);
  bounds(L, 2, -1, length, &first, &last);
  if (first > last) {
    lua_pushliteral(L, "");
    return 1;
  }
  clua_charge_bytes(L, last - first + 1);
  lua_pushlstring(L, text + first - 1, last - first + 1);
  return 1;
}

static int string_byte(lua_State *L) {
  size_t length, first, last;
  const char *text = luaL_checklstring(L, 1, &length);
  lua_Integer position = luaL_optinteger(L, 2, 1);
  lua_settop(L, 3);
  lua_pushinteger(L, position);
  lua_replace(L, 2);
  bounds(L, 2, position, length, &first, &last);
  if (first > last) return 0;
  size_t count = last - first + 1;
  if (count > 100000 || !lua_checkstack(L, (int)count)) return luaL_error(L, "string slice too long");
  clua_charge(L, count);
  for (size_t i = 0; i < count; i++) lua_pushinteger(L, (unsigned char)text[first - 1 + i]);
  return (int)count;
}

static int string_char(lua_State *L) {
  int count = lua_gettop(L);
  clua_charge(L, (uint64_t)count + 1);
  luaL_Buffer buffer;
  char *to = luaL_buffinitsize(L, &buffer, (size_t)count);
  for (int i = 1; i <= count; i++) {
    lua_Unsigned code = (lua_Unsigned)luaL_checkinteger(L, i);
    luaL_argcheck(L, code <= 255, i, "value out of range");
    to[i - 1] = (char)code;
  }
  luaL_pushresultsize(&buffer, (size_t)count);
  return 1;
}

/* A new string of the same length, each byte made by `change` of its place in the old one. */
static int mapped(lua_State *L, char (*change)(const char *text, size_t length, size_t index)) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  clua_charge_bytes(L, length);
  luaL_Buffer buffer;
  char *to = luaL_buffinitsize(L, &buffer, length);
  for (size_t i = 0; i < length; i++) to[i] = change(text, length, i);
  luaL_pushresultsize(&buffer, length);
  return 1;
}

static char lowered(const char *text, size_t length, size_t index) {
  (void)length;
  return (char)tolower((unsigned char)text[index]);
}

static char raised(const char *text, size_t length, size_t index) {
  (void)length;
  return (char)toupper((unsigned char)text[index]);
}

static char reversed(const char *text, size_t length, size_t index) { return text[length - 1 - index]; }

static int string_lower(lua_State *L) { return mapped(L, lowered); }
static int string_upper(lua_State *L) { return mapped(L, raised); }
static int string_reverse(lua_State *L) { return mapped(L, reversed); }

static int string_rep(lua_State *L) {
  size_t length, separator_length;
  const char *text = luaL_checklstring(L, 1, &length);
  lua_Integer times = luaL_checkinteger(L, 2);
  const char *separator = luaL_optlstring(L, 3, "", &separator_length);
  size_t unit = length + separator_length;
  if (times <= 0 || unit == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  if ((lua_Unsigned)times > clua_host_of(L)->limits.memory / unit) clua_hit(L, CLUA_MEMORY);
  size_t total = unit * (size_t)times - separator_length;
  clua_charge(L, 1 + (uint64_t)times / 8 + total / 16);
  luaL_Buffer buffer;
  char *to = luaL_buffinitsize(L, &buffer, total);
  for (lua_Integer i = 0; i < times; i++) {
    if (length > 0) memcpy(to, text, length);
    to += length;
    if (i + 1 == times || separator_length == 0) continue;
    memcpy(to, separator, separator_length);
    to += separator_length;
  }
  luaL_pushresultsize(&buffer, total);
  return 1;
}

/* A conversion of `format`: %[flags][width][.precision]letter, width and precision of at most two digits. */
typedef struct conversion {
  char flags[6];
  int width, precision;
  char letter;
} conversion;

static int digits(const char **at, const char *end) {
  int value = 0;
  for (int i = 0; i < 2 && *at < end && isdigit((unsigned char)**at); i++) value = value * 10 + *(*at)++ - '0';
  return value;
}

static const char *read_conversion(lua_State *L, const char *at, const char *end, conversion *found) {
  const char *start = at;
  size_t count = 0;
  while (at < end && count < 5 && strchr("-+ #0", *at) != NULL && *at != 0) found->flags[count++] = *at++;
  found->flags[count] = 0;
  found->width = digits(&at, end);
  found->precision = -1;
  if (at < end && *at == '.') {
    at++;
    found->precision = digits(&at, end);
  }
  if (at == end || strchr("cdiouxXeEfFgGaAs", *at) == NULL || *at == 0 || *at == 'u') {
    lua_pushlstring(L, start, (size_t)(at < end ? at + 1 - start : at - start));
    luaL_error(L, "invalid conversion '%%%s' to 'format'", lua_tostring(L, -1));
  }
  found->letter = *at;
  return at + 1;
}

static void add_padded(luaL_Buffer *buffer, const char *text, size_t length, const conversion *how) {
  size_t width = (size_t)how->width;
  int left = strchr(how->flags, '-') != NULL;
  for (size_t i = length; !left && i < width; i++) luaL_addchar(buffer, ' ');
  luaL_addlstring(buffer, text, length);
  for (size_t i = length; left && i < width; i++) luaL_addchar(buffer, ' ');
}

/* Writes the number at `argument` by printf's rules. */
static size_t print_number(lua_State *L, char *to, size_t room, int argument, const conversion *how) {
  char form[32];
  int with_precision = how->precision >= 0;
  int whole = strchr("dioxX", how->letter) != NULL;
  char precision[8] = "";
  if (with_precision) snprintf(precision, sizeof precision, ".%d", how->precision);
  char width[8] = "";
  if (how->width > 0) snprintf(width, sizeof width, "%d", how->width);
  snprintf(form, sizeof form, "%%%s%s%s%s%c", how->flags, width, precision, whole ? "ll" : "", how->letter);
  int written = whole ? snprintf(to, room, form, (long long)luaL_checkinteger(L, argument))
                      : snprintf(to, room, form, (double)luaL_checknumber(L, argument));
  return written < 0 ? 0 : (size_t)written < room ? (size_t)written : room - 1;
}

static int string_format(lua_State *L) {
  size_t length;
  const char *at = luaL_checklstring(L, 1, &length);
  const char *end = at + length;
  clua_charge_bytes(L, length);
  /* The buffer has a place of its own on the stack, behind the arguments. */
  int arguments = lua_gettop(L), argument = 1;
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  while (at < end) {
    if (*at != '%') {
      luaL_addchar(&buffer, *at++);
      continue;
    }
    if (++at < end && *at == '%') {
      luaL_addchar(&buffer, *at++);
      continue;
    }
    conversion how;
    at = read_conversion(L, at, end, &how);
    luaL_argcheck(L, ++argument <= arguments, argument, "no value");
    clua_charge(L, 4);
    if (how.letter == 's') {
      size_t text_length;
      clua_push_text(L, argument);
      const char *text = lua_tolstring(L, -1, &text_length);
      clua_charge_bytes(L, text_length);
      /* The text lies above the buffer's own place on the stack, so it is put at the place of the argument first. */
      lua_replace(L, argument);
      if (how.precision >= 0 && text_length > (size_t)how.precision) text_length = (size_t)how.precision;
      add_padded(&buffer, text, text_length, &how);
    } else if (how.letter == 'c') {
      char byte = (char)luaL_checkinteger(L, argument);
      add_padded(&buffer, &byte, 1, &how);
    } else {
      /* The longest is a double of 309 digits with 99 behind the point. */
      char text[512];
      size_t text_length = print_number(L, text, sizeof text, argument, &how);
      luaL_addlstring(&buffer, text, text_length);
    }
  }
  luaL_pushresult(&buffer);
  return 1;
}

void clua_open_string(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"byte", string_byte},     {"char", string_char}, {"find", clua_string_find},   {"format", string_format},
      {"gmatch", clua_string_gmatch}, {"gsub", clua_string_gsub}, {"len", string_len}, {"lower", string_lower},
      {"match", clua_string_match},   {"rep", string_rep},   {"reverse", string_reverse}, {"sub", string_sub},
      {"upper", string_upper},   {NULL, NULL},
  };
  luaL_setfuncs(L, functions, 0);
}
