-- SPDX-License-Identifier: MIT
-- lib/base64.lua: tide.base64.encode(text[, "url"]) and decode(text) (RFC 4648). decode takes both alphabets, with or
-- without padding, and nothing else: for any other text it returns nil and the reason. OpenSSL's decoder is not used,
-- as it takes texts that are no base64.
local bit = require("bit")
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")

local base64 = {}

local band, bor, lshift, rshift = bit.band, bit.bor, bit.lshift, bit.rshift
local COMMON = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
local ALPHABET = { standard = COMMON .. "+/", url = COMMON .. "-_" }

local letters, values = {}, ffi.new("int8_t[256]")
ffi.fill(values, 256, -1)
for name, alphabet in pairs(ALPHABET) do
  letters[name] = ffi.new("uint8_t[65]", alphabet)
  for i = 0, 63 do values[letters[name][i]] = i end
end

--- "url": with - and _, and no padding.
function base64.encode(text, kind)
  arguments.text(text, "tide.base64.encode")
  arguments.choice(kind, "tide.base64.encode", ALPHABET)
  local from, to = letters[kind or "standard"], ffi.new("uint8_t[?]", #text * 4 / 3 + 8)
  local bytes, at = ffi.cast("const uint8_t *", text), 0
  for i = 0, #text - 1, 3 do
    local left = #text - i
    local word = bor(lshift(bytes[i], 16), left > 1 and lshift(bytes[i + 1], 8) or 0, left > 2 and bytes[i + 2] or 0)
    to[at], to[at + 1] = from[rshift(word, 18)], from[band(rshift(word, 12), 63)]
    to[at + 2], to[at + 3] = from[band(rshift(word, 6), 63)], from[band(word, 63)]
    at = at + 4
  end
  local padding = (3 - #text % 3) % 3
  if kind == "url" then return ffi.string(to, at - padding) end
  return ffi.string(to, at - padding) .. ("="):rep(padding)
end

function base64.decode(text)
  arguments.text(text, "tide.base64.decode")
  local body = text:match("^([^=]*)=?=?$")
  if not body or #body % 4 == 1 or (#body ~= #text and #text % 4 ~= 0) then return nil, "not base64: its length" end
  local to, at, word, bits = ffi.new("uint8_t[?]", #body + 4), 0, 0, 0
  for i = 1, #body do
    local value = values[body:byte(i)]
    if value < 0 then return nil, ("not base64: byte %d"):format(i) end
    word, bits = band(bor(lshift(word, 6), value), 0xFFFF), bits + 6
    if bits >= 8 then
      bits = bits - 8
      to[at], at = band(rshift(word, bits), 255), at + 1
    end
  end
  if band(word, lshift(1, bits) - 1) ~= 0 then return nil, "not base64: bits left over" end
  return ffi.string(to, at)
end

return base64
