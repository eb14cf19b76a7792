-- SPDX-License-Identifier: MIT
-- What a table of a topic costs, without Kafka: `luajit scripts/bench/table.lua [ROWS [KEYS]]` (1,000,000 and 65,536).
-- It puts rows of about 100 bytes, replaces all of them, and prints nanoseconds for each, bytes of memory for a row
-- before and after, and nanoseconds for a read of random keys in a compiled loop: a field of a row's view, and a key
-- that is not there.
package.path = "lua/?.lua;lua/?/init.lua;./?.lua;" .. package.path
local ffi = require("ffi")
local C = require("tidemill.run.ffi").C
local json = require("tidemill.run.json")
local random_reads = require("scripts.bench.random_reads")
local tables = require("tidemill.run.tables")

local ROWS, KEYS, READS = tonumber(arg[1]) or 1e6, tonumber(arg[2]), random_reads.READS
local time = random_reads.time
local PUBLISH = 1000 -- changes that are published together, as in a turn of the engine

local function key(i) return ("user-%07d"):format(i) end

local function value(i, plan)
  return ('{"name":"Name of %d","email":"user%d@example.org","country":"c%02d","plan":%d}'):format(i, i, i % 50, plan)
end

local owner = assert(C.tide_tables_new())
assert(C.tide_tables_add(owner, "users", 2 ^ 32) == 0)

local view = ffi.new "struct tide_table_view"
local function memory()
  C.tide_table_view(owner, 0, view)
  return tonumber(view.memory) / ROWS
end

-- Puts all rows; the text of a row is made outside of what is measured.
local function put(plan)
  local spent = 0
  local keys, values = {}, {}
  for first = 1, ROWS, PUBLISH do
    for i = 0, PUBLISH - 1 do keys[i], values[i] = key(first + i), value(first + i, plan) end
    local from = os.clock()
    for i = 0, PUBLISH - 1 do assert(C.tide_table_put(owner, 0, keys[i], #keys[i], values[i], #values[i]) == 0) end
    C.tide_tables_publish(owner)
    C.tide_tables_turn(owner, first)
    C.tide_tables_collect(owner, 2 ^ 62)
    spent = spent + (os.clock() - from)
  end
  return spent / ROWS * 1e9
end

local there, missing = random_reads.keys(ROWS, key, KEYS)
local new = put(1)
local bytes = memory()
local replaced = put(2)
local after = memory()
tables.begin_loading(owner, { { name = "users", json = true } })
tables.begin()
local users, count = tables.handle("users"), 0
assert(#users == ROWS)
local field = time(there, function(name)
  count = count + #users[name].country
  json.reset()
end)
local none = time(missing, function(name)
  if users[name] then count = count + 1 end
end)
assert(count == 5 * READS * 3)
print(("%10s %8s %10s %10s %10s %8s %8s"):format("rows", "ns put", "ns replace", "bytes/row", "replaced", "ns field",
  "ns none"))
print(("%10d %8.0f %10.0f %10.0f %10.0f %8.0f %8.0f"):format(ROWS, new, replaced, bytes, after, field, none))
