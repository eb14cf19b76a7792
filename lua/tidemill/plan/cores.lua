-- SPDX-License-Identifier: MIT
-- plan/cores.lua: tells how many processors this process may use: those that it may run on (taskset, cpuset), but no
-- more than its control groups give it time for (docker --cpus, CPUQuota of systemd).
local ffi = require("ffi")
local control_groups = require("tidemill.plan.control_groups")
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

--- Returns the number, which is at least 1. `root` and `groups` are for specs (plan/control_groups.lua).
function cores.usable(root, groups)
  local count = allowed()
  for _, folder in ipairs(control_groups.folders("cpu", root, groups)) do
    local limit = quota_of(folder)
    if limit then count = math.min(count, math.ceil(limit)) end
  end
  return math.max(1, count)
end

return cores
