-- SPDX-License-Identifier: MIT
-- run/ffi.lua: the one place that loads libtidemill. The C headers themselves are the declarations: ffi.cdef reads them
-- without the lines that begin with #, so C and Lua cannot drift apart.
local ffi = require("ffi")

local headers = {
  "base/status.h", "base/secret.h", "base/log.h", "base/output.h", "base/clock.h", "base/text.h",
  "base/fault.h", "base/stamp.h", "base/plan.h", "store/store.h", "shm/layout.h",
  "shm/message.h", "shm/topics.h", "shm/counters.h", "shm/script_metrics.h", "lookup/lookup.h",
  "table/table.h", "proc/protocol.h",
  "proc/worker.h",
  "proc/sandbox.h",
  "proc/worker_view.h", "proc/lookup_view.h", "proc/profile.h", "proc/crash.h",
  "json/json.h", "io/source.h", "io/sink.h", "io/file.h",
  "chain/tap.h",
  "io/memory.h", "kafka/kafka.h", "kafka/committed.h", "kafka/mock.h", "chain/dlq_recent.h", "chain/slow.h",
  "chain/retry_wait.h",
  "http/http.h",
  "tidemill.h",
}

local function readable(path)
  local file = io.open(path, "r")
  if file then file:close() end
  return file ~= nil
end

-- The folder above lua/ that this file was loaded from: it ends in .../lua/tidemill/run/ffi.lua.
local function own_root()
  local here = debug.getinfo(1, "S").source:match("^@(.*)/lua/tidemill/run/ffi%.lua$")
  return here or "."
end

local function first_readable(paths, what)
  for _, path in ipairs(paths) do
    if readable(path) then return path end
  end
  error("tidemill: " .. what .. " is not at " .. table.concat(paths, " nor ") .. "; run make", 0)
end

local function declare(folder)
  for _, name in ipairs(headers) do
    local lines = {}
    for line in io.lines(folder .. "/" .. name) do
      lines[#lines + 1] = line:sub(1, 1) == "#" and "" or line
    end
    -- ssize_t is all that the headers take from <sys/types.h>.
    local ok, problem = pcall(ffi.cdef, table.concat(lines, "\n"))
    if not ok then error(name .. ": " .. problem, 0) end
  end
end

local root = own_root()
local folder = rawget(_G, "TIDEMILL_FOLDER") -- of the program, set by main.c
local build = os.getenv("TIDE_BUILD") -- of the specs: build, build/asan or build/faults
local tree = first_readable({ root .. "/engine/tidemill.h", root .. "/include/tidemill.h" }, "a header")
declare((tree:gsub("/tidemill%.h$", "")))

local places = {}
if folder then places = { folder .. "/libtidemill.so", folder .. "/../lib/tidemill/libtidemill.so" } end
if build then places[#places + 1] = build .. "/libtidemill.so" end
places[#places + 1] = root .. "/build/libtidemill.so"
local path = first_readable(places, "libtidemill.so")
local C = ffi.load(path)

if C.tide_abi() ~= C.TIDE_ABI then
  error(("tidemill: the library has ABI %d, these Lua files want %d"):format(C.tide_abi(), C.TIDE_ABI), 0)
end

--- C is the library, folder the place where it is, error() gives the text of the last failure.
return {
  C = C,
  folder = path:match "^(.*)/" or ".",
  error = function() return ffi.string(C.tide_error()) end,
}
