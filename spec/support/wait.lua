-- SPDX-License-Identifier: MIT
-- Waiting for a condition with a deadline: what specs use where others sleep. A wait ends when what it waits for is
-- there, so its deadline may be far off; only where time itself is promised do specs name seconds.
local ffi = require "ffi"

ffi.cdef [[
struct tide_spec_timespec { long seconds; long nanoseconds; };
int clock_gettime(int clock, struct tide_spec_timespec *time);
int poll(void *descriptors, unsigned long count, int timeout_ms);
]]

local wait = {}

local CLOCK_MONOTONIC = 1
local time = ffi.new("struct tide_spec_timespec")

--- Seconds on a clock that only goes forward.
function wait.now()
  -- glibc declares a struct of its own name for the same two longs; another cdef may have come first
  ffi.C.clock_gettime(CLOCK_MONOTONIC, ffi.cast("void *", time))
  return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
end

--- Gives the processor away for a moment.
function wait.pause(milliseconds)
  ffi.C.poll(nil, 0, milliseconds or 5)
end

local PATIENCE = 60 -- seconds; for a machine that does other things as well

local watched = {} -- { [process of spec.support.process] = true }

--- From now on a wait fails at once when this process has ended other than with 0: what it would bring does not come.
function wait.watch(process)
  watched[process] = true
end

--- Its end is expected from now on.
function wait.unwatch(process)
  watched[process] = nil
end

-- Of a process that was to live and does not: how it ended and what it said last; nil when there is none.
local function last_words()
  for process in pairs(watched) do
    local code = process:code()
    if code and code ~= 0 then
      wait.unwatch(process)
      return ("%s has ended, exit code %d; it said last:\n%s"):format(process.name, code, process:stderr():sub(-3000))
    end
  end
end

--- until_true(fn, [seconds,] what): calls `fn` until it returns something true, and returns that. After `seconds` (60)
--- it raises an error that names `what` was waited for (a string, or a function that makes one); at once when a process
--- that is watched has ended.
function wait.until_true(fn, seconds, what)
  if type(seconds) ~= "number" then seconds, what = PATIENCE, seconds or what end
  local deadline = wait.now() + seconds
  while true do
    local result = fn()
    if result then return result end
    local words = last_words()
    if words then result = fn() end -- it may have ended behind what is waited for
    if result then return result end
    if words or wait.now() > deadline then
      local text = type(what) == "function" and what() or what or "the condition"
      if words then error(("waited in vain for %s: %s"):format(text, words), 2) end
      error(("waited %g s in vain for %s"):format(seconds, text), 2)
    end
    wait.pause()
  end
end

return wait
