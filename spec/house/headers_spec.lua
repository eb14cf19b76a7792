-- SPDX-License-Identifier: MIT
-- gcc and ffi.cdef read the same headers: every one parses as cdef when the # lines are left out.
local files = require "spec.house.files"

-- Headers in the order in which they can be read: what one includes comes before it.
local function ordered()
  local order, seen = {}, {}
  local function visit(path)
    if seen[path] then return end
    seen[path] = true
    for _, line in ipairs(files.lines("engine/" .. path)) do
      local included = line:match('^#include "([^"]+)"')
      if included then visit(included) end
    end
    order[#order + 1] = path
  end
  for _, path in ipairs(files.list({ "engine" }, { "*.h" })) do visit((path:gsub("^engine/", ""))) end
  return order
end

-- Reads each path on stdin into one fresh LuaJIT. What <sys/queue.h> would make of its macros stands there instead, and
-- inline functions are left out. What engine/http/inside.h takes from the system and from
-- libmicrohttpd is declared here, and what those of engine/store take from LMDB.
local READER = [[
local ffi = require "ffi"
ffi.cdef "typedef unsigned long pthread_t; typedef struct { long words[5]; } pthread_mutex_t;"
ffi.cdef "typedef struct MDB_env MDB_env; typedef struct MDB_txn MDB_txn; typedef struct MDB_cursor MDB_cursor;"
ffi.cdef "typedef unsigned MDB_dbi; typedef struct MDB_val { size_t mv_size; void *mv_data; } MDB_val;"
for _, name in ipairs { "Result", "ConnectionNotificationCode", "RequestTerminationCode" } do
  ffi.cdef("enum MHD_" .. name .. " { MHD_ANY_" .. name .. " };")
end
for path in io.lines() do
  local lines = {}
  for line in io.lines("engine/" .. path) do lines[#lines + 1] = line:sub(1, 1) == "#" and "" or line end
  local text = table.concat(lines, "\n"):gsub("S?TAILQ_%u+%b()", "struct { void *first, *last; }")
    :gsub("_Atomic ", ""):gsub("static inline [^{;]+%b{}", "")
  local done, reason = pcall(ffi.cdef, text)
  if not done then print(path .. ": " .. reason) end
end
]]

describe("the headers", function()
  it("parse as cdef", function()
    local script, list, out = os.tmpname(), os.tmpname(), os.tmpname()
    local file = assert(io.open(script, "w"))
    file:write(READER)
    file:close()
    file = assert(io.open(list, "w"))
    file:write(table.concat(ordered(), "\n"), "\n")
    file:close()
    local status = os.execute(("luajit %s <%s >%s 2>&1"):format(script, list, out))
    local faults = files.read(out)
    for _, path in ipairs { script, list, out } do os.remove(path) end
    assert.equal("", faults)
    assert.is_true(status == 0 or status == true)
  end)

  it("are guarded by their own path", function()
    local faults = {}
    for _, path in ipairs(files.list({ "engine" }, { "*.h" })) do
      local guard = path:gsub("^engine/", ""):gsub("[/.]", "_"):upper()
      guard = guard:find("^TIDEMILL") and guard or "TIDE_" .. guard
      local text = files.read(path)
      if not text:find("#ifndef " .. guard .. "\n#define " .. guard .. "\n", 1, true) then
        faults[#faults + 1] = path .. ": guard is not " .. guard
      end
    end
    assert.same({}, faults)
  end)
end)
