-- SPDX-License-Identifier: MIT
-- tuning/processes.lua: what processes use: processor time and memory, from the kernel.
local ffi = require("ffi")
local posix = require("tidemill.run.posix")

local processes = {}

local CLOCK_THREAD_CPUTIME_ID = 3
local PAGE = 4096 -- on most machines, which is near enough for an estimate

local time, clock = ffi.new("int64_t[2]"), ffi.new("int[1]")

--- Returns the seconds of processor time that the processes have used in all; those that are gone count nothing.
function processes.cpu(pids)
  local sum = 0
  for _, pid in ipairs(pids) do
    if posix.clock_getcpuclockid(pid, clock) == 0 and posix.tide_posix_clock(clock[0], time) == 0 then
      sum = sum + tonumber(time[0]) + tonumber(time[1]) / 1e9
    end
  end
  return sum
end

--- Returns the seconds of processor time that the present thread has used.
function processes.thread()
  posix.tide_posix_clock(CLOCK_THREAD_CPUTIME_ID, time)
  return tonumber(time[0]) + tonumber(time[1]) / 1e9
end

local function contents(path)
  local file = io.open(path)
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return text
end

-- Of a process in the sandbox an ordinary user may not see more than this: its pages, of which those that it shares are
-- left out, since the others have them too.
local function private_memory(pid)
  local resident, shared = contents(("/proc/%d/statm"):format(pid)):match("^%d+ (%d+) (%d+)")
  return resident and (tonumber(resident) - tonumber(shared)) * PAGE or 0
end

--- Returns the bytes of memory that the processes take; memory that several share counts once (PSS).
function processes.memory(pids)
  local sum = 0
  for _, pid in ipairs(pids) do
    local kib = contents(("/proc/%d/smaps_rollup"):format(pid)):match("\nPss:%s+(%d+) kB")
    sum = sum + (kib and tonumber(kib) * 1024 or private_memory(pid))
  end
  return sum
end

return processes
