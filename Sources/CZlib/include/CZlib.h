#pragma once

#include <zlib.h>

/* Both are macros in zlib.h, which Swift does not see. 31 window bits ask for the gzip format, -15 for
 * deflate's blocks alone. */
static inline int czlib_deflate_gzip(z_stream *stream, int level) {
  return deflateInit2(stream, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
}

static inline int czlib_inflate_gzip(z_stream *stream) { return inflateInit2(stream, 31); }

static inline int czlib_inflate_raw(z_stream *stream) { return inflateInit2(stream, -15); }
