-- SPDX-License-Identifier: MIT
-- Reads of random keys in a compiled loop, for the benches of tables (lookup.lua, table.lua).
local random_reads = {}

local KEYS = 65536
random_reads.READS = 2e6 -- of a round

--- Names of rows that are there, of `rows` in all, and of as many that are not; `key` makes the name of a row.
function random_reads.keys(rows, key, count)
  local there, missing = {}, {}
  for i = 1, count or KEYS do there[i], missing[i] = key(math.random(rows)), "none-" .. i end
  return there, missing
end

--- Nanoseconds of processor time for each call of `read` with a key, the least of five rounds.
function random_reads.time(keys, read)
  local best, count = math.huge, #keys
  for _ = 1, 5 do
    local from = os.clock()
    for i = 1, random_reads.READS do read(keys[i % count + 1]) end
    best = math.min(best, (os.clock() - from) / random_reads.READS * 1e9)
  end
  return best
end

return random_reads
