-- SPDX-License-Identifier: MIT
-- lib/hash.lua: tide.hash.xxhash64(text[, seed]) -> uint64, sha256(text) -> 64 hex digits, crc32c(text) -> number;
-- hex(number) -> 16 hex digits of a uint64. xxhash64 and sha256 come from libxxhash and libcrypto.
local bit = require("bit")
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")
local integer = require("tidemill.run.integer")
local library = require("tidemill.lib.library")

local hash = {}

local band, bxor, rshift = bit.band, bit.bxor, bit.rshift

local xxhash = library.load("hash", "libxxhash.so.0", "libxxhash0",
  "uint64_t XXH64(const void *input, size_t length, uint64_t seed);")
local crypto = library.load("hash", "libcrypto.so.3", "libssl3",
  "unsigned char *SHA256(const unsigned char *bytes, size_t length, unsigned char *digest);")
local digest = ffi.new("unsigned char[32]")

function hash.xxhash64(text, seed)
  arguments.text(text, "tide.hash.xxhash64")
  seed = seed ~= nil and arguments.bits(seed, "the seed of tide.hash.xxhash64") or 0
  return (integer.given(xxhash.XXH64(text, #text, seed)))
end

function hash.sha256(text)
  arguments.text(text, "tide.hash.sha256")
  crypto.SHA256(text, #text, digest)
  return (ffi.string(digest, 32):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local POLYNOMIAL = 0x82F63B78 -- Castagnoli's, reflected
local crc_table = ffi.new("int32_t[256]")
for i = 0, 255 do
  local crc = i
  for _ = 1, 8 do crc = bxor(rshift(crc, 1), band(crc, 1) * POLYNOMIAL) end
  crc_table[i] = crc
end

--- Written in Lua, as no library of Debian's base system has it; LuaJIT compiles the loop.
function hash.crc32c(text)
  arguments.text(text, "tide.hash.crc32c")
  local crc, bytes = -1, ffi.cast("const uint8_t *", text)
  for i = 0, #text - 1 do crc = bxor(rshift(crc, 8), crc_table[band(bxor(crc, bytes[i]), 255)]) end
  return bxor(crc, -1) % 2 ^ 32
end

function hash.hex(number)
  return (bit.tohex(arguments.bits(number, "tide.hash.hex"), 16))
end

return hash
