-- SPDX-License-Identifier: MIT
-- lib/msgpack.lua: tide.msgpack.encode(value) and decode(text) by lua-mpack, which has all numbers as doubles: what
-- would be rounded is refused. nil within is msgpack.null. decode of what is none, is cut, or has an integer beyond
-- 2^53: nil and the reason.
local bit = require("bit")
local library = require("tidemill.lib.library")

local msgpack = {}

local EXACT = 2 ^ 53
local mpack

local function open()
  mpack = library.require("msgpack", "mpack", "lua-mpack")
end

-- Bytes behind the type's own: of its length field, then fixed ones (shared: the format's table of types).
local LENGTH = { [0xC4] = 1, [0xC5] = 2, [0xC6] = 4, [0xC7] = 1, [0xC8] = 2, [0xC9] = 4, [0xD9] = 1, [0xDA] = 2,
  [0xDB] = 4 }
local FIXED = { [0xC7] = 1, [0xC8] = 1, [0xC9] = 1, [0xCA] = 4, [0xCB] = 8, [0xCC] = 1, [0xCD] = 2, [0xCE] = 4,
  [0xCF] = 8, [0xD0] = 1, [0xD1] = 2, [0xD2] = 4, [0xD3] = 8, [0xD4] = 2, [0xD5] = 3, [0xD6] = 5, [0xD7] = 9,
  [0xD8] = 17, [0xDC] = 2, [0xDD] = 4, [0xDE] = 2, [0xDF] = 4 }

local function big_endian(text, at, size)
  local number = 0
  for i = at, at + size - 1 do number = number * 256 + (text:byte(i) or 0) end
  return number
end

-- True when the integer of 8 bytes at `at` is not the same as a double.
local function is_rounded(text, at, signed)
  local high, low = big_endian(text, at, 4), big_endian(text, at + 4, 4)
  if signed and high >= 2 ^ 31 then high = high - 2 ^ 32 end
  local number = high * 2 ^ 32 + low
  return math.abs(number) > EXACT or (math.abs(number) == EXACT and low ~= 0)
end

-- Containers have only a head, their elements follow: one pass over all heads needs no depth.
local function find_rounded(text)
  local at = 1
  while at <= #text do
    local kind = text:byte(at)
    if (kind == 0xCF or kind == 0xD3) and is_rounded(text, at + 1, kind == 0xD3) then return at end
    local size = LENGTH[kind] and LENGTH[kind] + big_endian(text, at + 1, LENGTH[kind]) or 0
    if bit.band(kind, 0xE0) == 0xA0 then size = bit.band(kind, 0x1F) end
    at = at + 1 + size + (FIXED[kind] or 0)
  end
end

local function check_numbers(value, depth)
  if type(value) == "number" and value % 1 == 0 and math.abs(value) > EXACT and math.abs(value) < 2 ^ 64 then
    error(("tide.msgpack: %.0f is beyond 2^53 and may have been rounded"):format(value), 0)
  end
  if type(value) ~= "table" then return end
  if depth > 100 then error("tide.msgpack: nested deeper than 100", 0) end
  for key, item in pairs(value) do
    check_numbers(key, depth + 1)
    check_numbers(item, depth + 1)
  end
end

function msgpack.encode(value)
  if not mpack then open() end
  check_numbers(value, 0)
  return mpack.pack(value)
end

function msgpack.decode(text)
  library.check_text(text, "tide.msgpack.decode")
  if not mpack then open() end
  local at = find_rounded(text)
  if at then return nil, ("msgpack: the integer at byte %d is beyond 2^53"):format(at) end
  local ok, value = pcall(mpack.unpack, text)
  if not ok then return nil, "msgpack: " .. tostring(value) end
  return value
end

return setmetatable(msgpack, { __index = function(_, name)
  if name ~= "null" then return nil end
  if not mpack then open() end
  return mpack.NIL
end })
