-- SPDX-License-Identifier: MIT
-- tuning/processes.lua: what processes use: processor time and memory, from the kernel; and what others leave to them.
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

--- Returns what /proc/stat says of all processors together: { all, used, stolen } in ticks since the machine began, and
--- their count. `text` is for specs.
function processes.machine(text)
  text = text or contents("/proc/stat")
  local ticks, all = {}, 0
  for value in (text:match("^cpu +([^\n]+)") or ""):gmatch("%d+") do ticks[#ticks + 1] = tonumber(value) end
  -- user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of user
  for i = 1, 8 do all = all + (ticks[i] or 0) end
  local idle, stolen = (ticks[4] or 0) + (ticks[5] or 0), ticks[8] or 0
  local _, count = text:gsub("\ncpu%d", "")
  return { all = all, used = all - idle - stolen, stolen = stolen, count = count }
end

--- Returns two shares of the time of all processors between two answers of processes.machine: what other processes
--- used, and what the host of a virtual machine kept back. `own` is how many processors were in use by those measured.
function processes.others(before, after, own)
  local all = after.all - before.all
  if all <= 0 or after.count == 0 then return 0, 0 end
  return math.max(0, (after.used - before.used) / all - own / after.count), (after.stolen - before.stolen) / all
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
