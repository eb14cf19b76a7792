-- SPDX-License-Identifier: MIT
-- lib/zstd.lua: tide.zstd.compress(text[, level]) and decompress(text[, most]) by libzstd. `most` limits the bytes of
-- the result (64 MiB). decompress takes several frames; for a text that is no zstd, is cut, or would become larger it
-- returns nil and the reason.
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")
local library = require("tidemill.lib.library")

local zstd = {}

local MOST, STEP = 64 * 2 ^ 20, 128 * 1024
local LEVELS = { least = -131072, most = 22 }

local C = library.load("zstd", "libzstd.so.1", "libzstd1", [[
  typedef struct { const void *src; size_t size; size_t pos; } tide_zstd_in;
  typedef struct { void *dst; size_t size; size_t pos; } tide_zstd_out;
  size_t ZSTD_compressBound(size_t);
  size_t ZSTD_compress(void *, size_t, const void *, size_t, int);
  unsigned ZSTD_isError(size_t);
  const char *ZSTD_getErrorName(size_t);
  void *ZSTD_createDStream(void);
  size_t ZSTD_freeDStream(void *);
  size_t ZSTD_initDStream(void *);
  size_t ZSTD_decompressStream(void *, tide_zstd_out *, tide_zstd_in *);
]], "tide_zstd_in")

function zstd.compress(text, level)
  arguments.text(text, "tide.zstd.compress")
  level = level == nil and 3 or arguments.integer(level, "tide.zstd.compress: a level", LEVELS.least, LEVELS.most)
  local room = C.ZSTD_compressBound(#text)
  local to = ffi.new("char[?]", room)
  local size = C.ZSTD_compress(to, room, text, #text, level)
  if C.ZSTD_isError(size) ~= 0 then error("tide.zstd: " .. ffi.string(C.ZSTD_getErrorName(size)), 2) end
  return ffi.string(to, size)
end

local stream, buffer

function zstd.decompress(text, most)
  arguments.text(text, "tide.zstd.decompress")
  most = arguments.most(most, "tide.zstd.decompress", MOST)
  stream = stream or ffi.gc(C.ZSTD_createDStream(), C.ZSTD_freeDStream)
  buffer = buffer or ffi.new("char[?]", STEP)
  C.ZSTD_initDStream(stream)
  local from, to = ffi.new("tide_zstd_in", ffi.cast("const char *", text), #text, 0), ffi.new("tide_zstd_out")
  local parts, size = {}, 0
  local left
  repeat
    to.dst, to.size, to.pos = buffer, STEP, 0
    left = C.ZSTD_decompressStream(stream, to, from)
    if C.ZSTD_isError(left) ~= 0 then return nil, "zstd: " .. ffi.string(C.ZSTD_getErrorName(left)) end
    size = size + tonumber(to.pos)
    if size > most then return nil, ("zstd: more than %.0f bytes"):format(most) end
    parts[#parts + 1] = ffi.string(buffer, to.pos)
  until from.pos == #text and (left == 0 or to.pos < STEP)
  if left ~= 0 then return nil, "zstd: the text ends early" end
  return table.concat(parts)
end

return zstd
