-- SPDX-License-Identifier: MIT
-- Lookup tables in the process of a spec, which is the zygote then: real builders read real files.
local ffi = require "ffi"
local C = require("tidemill.run.ffi").C
require "tidemill" -- tells how MessagePack is decoded
local lookups = require "tidemill.run.lookups"
local wait = require "spec.support.wait"

pcall(ffi.cdef, "int mkdir(const char *path, unsigned mode);")
pcall(ffi.cdef, "int kill(int pid, int signal);")

local lookup = {}
local folder, count, owner, clock_us

--- The memory of the tables that were opened last.
function lookup.owner()
  return owner
end

--- A new folder and a zygote without tables.
function lookup.begin()
  folder, count, clock_us = os.tmpname(), 0, 0
  os.remove(folder)
  assert(ffi.C.mkdir(folder, 448) == 0)
  owner = ffi.gc(C.tide_lookups_new(), C.tide_lookups_free)
  lookups.forget()
  lookups.begin_loading(owner, {}, folder, function() end)
end

function lookup.finish()
  os.execute("rm -rf " .. folder)
  lookups.forget()
  if owner then C.tide_lookups_free(ffi.gc(owner, nil)) end
  owner = nil
end

--- Writes a file and returns its name, which begins with no folder.
function lookup.write(ending, bytes, name)
  count = count + 1
  name = name or ("t%d.%s"):format(count, ending)
  local file = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(bytes)
  file:close()
  return name
end

function lookup.path(name)
  return folder .. "/" .. name
end

--- Declares a table; on failure nil and the text, without the folder.
function lookup.open(options)
  local done, result = pcall(lookups.declare, options, function(text) error(text, 0) end)
  if done then return result end
  return nil, (tostring(result):gsub(folder:gsub("%p", "%%%0") .. "/", ""))
end

--- A table of these bytes: lookup.of("csv", "id\n1\n", { by = "id" }).
function lookup.of(ending, bytes, options)
  local given = { lookup.write(ending, bytes) }
  for name, value in pairs(options or {}) do given[name] = value end
  return lookup.open(given)
end

--- The next report: { state, version, rows, bytes, name, problem }; nil when there is none.
function lookup.report()
  local c = ffi.new "struct tide_lookup_report"
  if not C.tide_lookups_report(owner, c) then return nil end
  return { state = tonumber(c.state), version = c.version, rows = tonumber(c.rows), bytes = tonumber(c.bytes),
    name = ffi.string(c.name):match "[^/]*$", problem = (ffi.string(c.problem):gsub("^.*/", "")) }
end

--- A look at the files, as the zygote does twice a second.
function lookup.look()
  clock_us = clock_us + C.TIDE_LOOKUP_LOOK_MS * 1000
  C.tide_lookups_turn(owner, clock_us)
end

--- Looks until there is a report.
function lookup.await_report()
  while lookup.report() do end
  return wait.until_true(function()
    lookup.look()
    return lookup.report()
  end, "a report of a lookup table")
end

return lookup
