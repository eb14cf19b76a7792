-- SPDX-License-Identifier: MIT
-- What a lookup table costs: `luajit scripts/bench/lookup.lua [ROWS [KEYS]]` (1,000,000 and 65,536). It writes a file
-- of each format with rows of about 60 bytes, reads it, and prints rows a second, bytes, and nanoseconds for a read
-- in a compiled loop: of random keys that are there (all of the row; the same and a field of it), and of keys that
-- are not. With 500,000 KEYS neither the keys nor LuaJIT's own table of strings fit a cache, which a pipeline does
-- not have.
package.path = "lua/?.lua;lua/?/init.lua;./?.lua;" .. package.path
local ffi = require("ffi")
local C = require("tidemill.run.ffi").C
local lookups = require("tidemill.run.lookups")
local msgpack = require("tidemill.lib.msgpack")
local random_reads = require("scripts.bench.random_reads")

local ROWS, KEYS, READS = tonumber(arg[1]) or 1e6, tonumber(arg[2]), random_reads.READS
local time = random_reads.time

local function key(i) return ("user-%07d"):format(i) end

local FORMATS = {
  csv = { head = "id,name,country,city,plan\n", row = function(i)
    return ("%s,Name of %d,c%02d,city of %d,plan %d\n"):format(key(i), i, i % 50, i % 9999, i % 7)
  end },
  jsonl = { row = function(i)
    return ('{"id":"%s","name":"N %d","country":"c%02d","plan":%d}\n'):format(key(i), i, i % 50, i % 7)
  end },
  msgpack = { row = function(i)
    return msgpack.encode { id = key(i), name = "Name of " .. i, country = "c" .. i % 50, plan = i % 7 }
  end },
}

local function write(path, format)
  local file = assert(io.open(path, "wb"))
  file:write(format.head or "")
  for i = 1, ROWS do file:write(format.row(i)) end
  local size = file:seek()
  file:close()
  return size
end

local there, missing = random_reads.keys(ROWS, key, KEYS)

local owner = C.tide_lookups_new()
lookups.begin_loading(owner, {}, ".", function() end)
print(("%-8s %10s %8s %8s %10s %8s %8s %8s"):format("format", "bytes/row", "s", "rows/s", "MiB table",
  "ns read", "ns field", "ns none"))
for _, ending in ipairs { "csv", "jsonl", "msgpack" } do
  local path = os.tmpname() .. "." .. ending
  local size, report = write(path, FORMATS[ending]), ffi.new "struct tide_lookup_report"
  local users = lookups.declare({ path, by = "id" }, error)
  os.remove(path)
  while C.tide_lookups_report(owner, report) do end
  local count = 0
  local read = time(there, function(name) if users[name] then count = count + 1 end end)
  local field = time(there, function(name) count = count + #users[name].country end)
  local none = time(missing, function(name) if users[name] then count = count + 1 end end)
  assert(#users == ROWS and count >= 10 * READS)
  local taken = tonumber(report.time_us) / 1e6
  print(("%-8s %10.1f %8.2f %8.0f %10.1f %8.0f %8.0f %8.0f"):format(ending, size / ROWS, taken, ROWS / taken,
    tonumber(report.bytes) / 1048576, read, field, none))
end
