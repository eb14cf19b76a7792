-- SPDX-License-Identifier: MIT
-- Writes each of KEYS keys once, in an order that is random, with a tab and a value of 100 bytes:
-- luajit make_keys.lua KEYS SEED [COUNT]; with COUNT so many of them. The value begins with key and seed.
local ffi = require "ffi"

local keys, seed = tonumber(arg[1]), tonumber(arg[2])
local count = tonumber(arg[3]) or keys
local order = ffi.new("uint32_t[?]", keys)
math.randomseed(seed)
for i = 0, keys - 1 do order[i] = i end
for i = 0, count - 1 do
  local j = math.random(i, keys - 1)
  order[i], order[j] = order[j], order[i]
end
io.stdout:setvbuf("full", 1024 * 1024)
local filling = ("abcdefgh"):rep(12):sub(1, 80)
for i = 0, count - 1 do io.write(("key-%010d\tkey-%010d %04d %s\n"):format(order[i], order[i], seed, filling)) end
