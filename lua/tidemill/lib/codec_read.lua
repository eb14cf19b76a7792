-- SPDX-License-Identifier: MIT
-- lib/codec_read.lua: what the functions have in common that lib/avro_read.lua and lib/protobuf_read.lua write: values
-- that begin with their length, and the bound of nesting. What cannot be read is raised as in lib/varint.lua.
local ffi = require("ffi")
local varint = require("tidemill.lib.varint")
local C = require("tidemill.run.ffi").C

local codec_read = {}

--- So deep may values nest.
codec_read.DEEPEST = 100

local fail, ends_early = varint.fail, varint.ends_early

--- Raises that a value nests deeper.
function codec_read.deep(at)
  fail(at, ("nested deeper than %d"):format(codec_read.DEEPEST))
end

--- Three functions: the length of what follows, all of which is there; bytes; a string in UTF-8. `integer` is that of
--- lib/varint.lua by which a length is read.
function codec_read.sized(integer)
  local function length(p, at, stop)
    local size, behind = integer(p, at, stop)
    if type(size) ~= "number" or size < 0 then fail(at, "a length below 0 or beyond all bounds") end
    if size > stop - behind then ends_early(stop) end
    return size, behind
  end
  local function bytes(p, at, stop)
    local size, behind = length(p, at, stop)
    return ffi.string(p + behind, size), behind + size
  end
  local function string(p, at, stop)
    local size, behind = length(p, at, stop)
    if not C.tide_utf8_is(p + behind, size) then fail(behind, "a string is not UTF-8") end
    return ffi.string(p + behind, size), behind + size
  end
  return length, bytes, string
end

--- The function of a text that was written for a type, called with the rest. LuaJIT has bounds for the size of a
--- function: a type beyond them is refused with a table { text }, as a type that cannot be used.
function codec_read.compile(text, ...)
  local chunk, problem = loadstring(text, "=codec")
  if not chunk then error({ "it is too large: " .. problem:gsub("^codec:%d+: ", ""):gsub(" near '.-'$", "") }, 0) end
  return chunk(...)
end

return codec_read
