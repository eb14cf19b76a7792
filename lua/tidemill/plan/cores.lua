-- SPDX-License-Identifier: MIT
-- plan/cores.lua: tells how many processors this process may use: those that it may run on (taskset, cpuset), but no
-- more than its control groups give it time for (docker --cpus, CPUQuota of systemd).
local ffi = require("ffi")
local posix = require("tidemill.run.posix")
local text_file = require("tidemill.plan.text_file")

local cores = {}

local WORDS = 128 -- of 64 processors each

local function allowed()
  local mask = ffi.new("uint64_t[?]", WORDS)
  if posix.sched_getaffinity(0, WORDS * 8, mask) < 0 then return 1 end
  local count = 0
  for i = 0, WORDS - 1 do
    local bits = mask[i]
    while bits ~= 0 do
      bits = bit.band(bits, bits - 1)
      count = count + 1
    end
  end
  return count
end

-- Returns how many processors one group has time for; nil when it has no limit.
local function quota_of(folder)
  local quota, period = (text_file.read(folder .. "/cpu.max") or ""):match("^(%d+) (%d+)")
  quota = quota or (text_file.read(folder .. "/cpu.cfs_quota_us") or ""):match("^%d+")
  period = period or (text_file.read(folder .. "/cpu.cfs_period_us") or ""):match("^%d+")
  return quota and period and tonumber(quota) / tonumber(period)
end

-- Returns the least quota of a group and of those that it is in; a container sees its own group as the root.
local function quota(root, path)
  local least
  while true do
    local found = quota_of(root .. path)
    if found and (not least or found < least) then least = found end
    if path == "" then return least end
    path = path:match("^(.*)/[^/]*$") or ""
  end
end

--- Returns the number, which is at least 1. `root` and `groups` are for specs: /sys/fs/cgroup and the text of
--- /proc/self/cgroup.
function cores.usable(root, groups)
  root, groups = root or "/sys/fs/cgroup", groups or text_file.read("/proc/self/cgroup") or ""
  local count = allowed()
  for controllers, path in groups:gmatch("%d+:([^:\n]*):(/[^\n]*)") do
    local version2, cpu = controllers == "", ("," .. controllers .. ","):find(",cpu,", 1, true)
    local limit = (version2 or cpu) and quota(version2 and root or root .. "/cpu", path == "/" and "" or path)
    if limit then count = math.min(count, math.ceil(limit)) end
  end
  return math.max(1, count)
end

return cores
