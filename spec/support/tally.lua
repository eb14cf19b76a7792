-- SPDX-License-Identifier: MIT
-- Busted's output for scripts/dev/run_specs.sh: the details of what failed as it fails, and, in the file that
-- TIDE_TALLY names, "passed failed skipped" for the script to add up, then the name of each pending spec.
local ffi = require "ffi"
local pretty = require "pl.pretty"

ffi.cdef "int mkstemp(char *template); int close(int fd); int unsetenv(const char *name);"

-- This process has ThreadSanitizer's library by now; a shell that would get it too crashes.
if os.getenv "SANITIZER" == "thread" then ffi.C.unsetenv "LD_PRELOAD" end

-- LuaJIT's own does not look at TMPDIR, which is a folder for this file of specs.
function os.tmpname() -- luacheck: ignore 122
  local path = (os.getenv "TMPDIR" or "/tmp") .. "/lua_XXXXXX"
  local template = ffi.new("char[?]", #path + 1, path)
  local fd = ffi.C.mkstemp(template)
  assert(fd >= 0, "no temporary file")
  ffi.C.close(fd)
  return ffi.string(template)
end

local function text_of(message)
  if message == nil then return "nil error" end
  return type(message) == "string" and message or pretty.write(message)
end

-- The name of an `it` reads alone; anything else is told with what it is in.
local function name_of(one)
  return one.element and one.element.descriptor == "it" and one.element.name or one.name or "?"
end

local function show(one)
  local trace = one.trace or {}
  local place = trace.short_src and ("%s:%s: "):format(trace.short_src, trace.currentline or "?") or ""
  io.write(("  FAILED %s%s\n"):format(place, name_of(one)))
  local words = text_of(one.message) .. (one.isError and trace.traceback or "")
  for line in words:gmatch("[^\n]+") do
    io.write("    ", line, "\n")
  end
  io.flush()
end

return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()

  local function last(list)
    return function()
      show(list()[#list()])
      return nil, true
    end
  end

  local function write_tally()
    local path = os.getenv("TIDE_TALLY")
    if not path then return nil, true end
    local file = assert(io.open(path, "w"))
    local failed = handler.failuresCount + handler.errorsCount
    file:write(("%d %d %d\n"):format(handler.successesCount, failed, handler.pendingsCount))
    for _, one in ipairs(handler.pendings) do
      file:write((name_of(one) .. ": " .. text_of(one.message or "pending")):gsub("%s+", " "), "\n")
    end
    file:close()
    return nil, true
  end

  busted.subscribe({ "failure" }, last(function() return handler.failures end))
  busted.subscribe({ "error" }, last(function() return handler.errors end))
  busted.subscribe({ "suite", "end" }, write_tally)
  return handler
end
