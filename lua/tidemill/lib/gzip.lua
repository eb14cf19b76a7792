-- SPDX-License-Identifier: MIT
-- lib/gzip.lua: tide.gzip.compress(text[, level]) and decompress(text[, most]) by zlib. `most` limits the bytes of the
-- result (64 MiB). decompress takes gzip, also of several members (RFC 1952), and zlib; for a text that is neither, is
-- cut, or would become larger it returns nil and the reason.
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")
local library = require("tidemill.lib.library")

local gzip = {}

local MOST, STEP = 64 * 2 ^ 20, 128 * 1024
local FINISH, STREAM_END, OK, BUF_ERROR = 4, 1, 0, -5
local GZIP, EITHER, DEFLATED, MEMORY = 15 + 16, 15 + 32, 8, 8
local C = library.load("gzip", "libz.so.1", "zlib1g", [[
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
  int inflateReset(tide_z_stream *);
  int inflateEnd(tide_z_stream *);
]], "tide_z_stream")

-- Runs deflate or inflate to the end of a stream and appends to `parts`, which have `size` bytes before. Returns their
-- bytes afterwards, or nil and the reason.
local function run(stream, turn, parts, size, most)
  local buffer = ffi.new("char[?]", STEP)
  local status
  repeat
    stream.next_out, stream.avail_out = buffer, STEP
    status = turn(stream, FINISH)
    local got = STEP - stream.avail_out
    size = size + got
    if size > most then return nil, ("gzip: more than %.0f bytes"):format(most) end
    parts[#parts + 1] = ffi.string(buffer, got)
    if status == BUF_ERROR and stream.avail_in == 0 and stream.avail_out > 0 then
      return nil, "gzip: the text ends early"
    end
  until status ~= OK and status ~= BUF_ERROR
  if status ~= STREAM_END then
    return nil, "gzip: " .. (stream.msg ~= nil and ffi.string(stream.msg) or "error " .. status)
  end
  return size
end

-- True if a gzip member begins at `at`.
local function is_member(text, at)
  return text:sub(at, at + 1) == "\31\139"
end

function gzip.compress(text, level)
  arguments.text(text, "tide.gzip.compress")
  level = level == nil and 6 or arguments.integer(level, "tide.gzip.compress: a level", 0, 9)
  local stream, parts = ffi.new("tide_z_stream"), {}
  assert(C.deflateInit2_(stream, level, DEFLATED, GZIP, MEMORY, 0, C.zlibVersion(), ffi.sizeof(stream)) == OK)
  stream.next_in, stream.avail_in = text, #text
  assert(run(stream, C.deflate, parts, 0, math.huge))
  C.deflateEnd(stream)
  return table.concat(parts)
end

function gzip.decompress(text, most)
  arguments.text(text, "tide.gzip.decompress")
  most = arguments.most(most, "tide.gzip.decompress", MOST)
  local stream, parts, size = ffi.new("tide_z_stream"), {}, 0
  local reason
  assert(C.inflateInit2_(stream, EITHER, C.zlibVersion(), ffi.sizeof(stream)) == OK)
  stream.next_in, stream.avail_in = text, #text
  local members = is_member(text, 1)
  repeat
    C.inflateReset(stream)
    size, reason = run(stream, C.inflate, parts, size, most)
  until not size or not members or not is_member(text, #text - stream.avail_in + 1)
  C.inflateEnd(stream)
  if not size then return nil, reason end
  if stream.avail_in > 0 then return nil, "gzip: more bytes behind its end" end
  return table.concat(parts)
end

return gzip
