-- SPDX-License-Identifier: MIT
-- lib/gzip.lua: tide.gzip.compress(text[, level]) and decompress(text[, most]) by zlib. `most`: bytes that the result
-- may have (64 MiB). decompress takes gzip and zlib; of what is neither, cut, or larger: nil and the reason.
local ffi = require("ffi")
local library = require("tidemill.lib.library")

local gzip = {}

local MOST, STEP = 64 * 2 ^ 20, 128 * 1024
local FINISH, STREAM_END, OK, BUF_ERROR = 4, 1, 0, -5
local GZIP, EITHER, DEFLATED, MEMORY = 15 + 16, 15 + 32, 8, 8
local C

local function open()
  C = library.load("gzip", "libz.so.1", "zlib1g", [[
    typedef struct {
      const char *next_in; unsigned avail_in; unsigned long total_in;
      char *next_out; unsigned avail_out; unsigned long total_out;
      const char *msg; void *state; void *zalloc; void *zfree; void *opaque;
      int data_type; unsigned long adler; unsigned long reserved;
    } tide_z_stream;
    const char *zlibVersion(void);
    int deflateInit2_(tide_z_stream *, int, int, int, int, int, const char *, int);
    int deflate(tide_z_stream *, int);
    int deflateEnd(tide_z_stream *);
    int inflateInit2_(tide_z_stream *, int, const char *, int);
    int inflate(tide_z_stream *, int);
    int inflateEnd(tide_z_stream *);
  ]])
end

-- Runs deflate or inflate over the text: the result, or nil and the reason.
local function run(stream, turn, text, most)
  local buffer, parts, size = ffi.new("char[?]", STEP), {}, 0
  local status
  stream.next_in, stream.avail_in = text, #text
  repeat
    stream.next_out, stream.avail_out = buffer, STEP
    status = turn(stream, FINISH)
    local got = STEP - stream.avail_out
    size = size + got
    if size > most then return nil, ("gzip: more than %d bytes"):format(most) end
    parts[#parts + 1] = ffi.string(buffer, got)
    if status == BUF_ERROR and stream.avail_in == 0 and stream.avail_out > 0 then
      return nil, "gzip: the text ends early"
    end
  until status ~= OK and status ~= BUF_ERROR
  if status ~= STREAM_END then
    return nil, "gzip: " .. (stream.msg ~= nil and ffi.string(stream.msg) or "error " .. status)
  end
  if stream.avail_in > 0 then return nil, "gzip: more bytes behind its end" end
  return table.concat(parts)
end

function gzip.compress(text, level)
  library.check_text(text, "tide.gzip.compress")
  if not C then open() end
  local stream = ffi.new("tide_z_stream")
  local status = C.deflateInit2_(stream, level or 6, DEFLATED, GZIP, MEMORY, 0, C.zlibVersion(), ffi.sizeof(stream))
  if status ~= OK then error("tide.gzip: no compression level " .. tostring(level), 2) end
  local result = assert(run(stream, C.deflate, text, math.huge))
  C.deflateEnd(stream)
  return result
end

function gzip.decompress(text, most)
  library.check_text(text, "tide.gzip.decompress")
  if not C then open() end
  local stream = ffi.new("tide_z_stream")
  assert(C.inflateInit2_(stream, EITHER, C.zlibVersion(), ffi.sizeof(stream)) == OK)
  local result, reason = run(stream, C.inflate, text, most or MOST)
  C.inflateEnd(stream)
  return result, reason
end

return gzip
