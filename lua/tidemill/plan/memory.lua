-- SPDX-License-Identifier: MIT
-- plan/memory.lua: tells how much memory there is for loading the transforms. Without a limit one that allocates
-- without end would have the kernel choose which processes of the machine to end.
local control_groups = require("tidemill.plan.control_groups")
local text_file = require("tidemill.plan.text_file")

local memory = {}

local PART, LEAST = 3 / 4, 64 * 2 ^ 20 -- LEAST: what every transform may have

-- Returns how many bytes one group may have; nil when it has no limit.
local function limit_of(folder)
  local text = text_file.read(folder .. "/memory.max") or text_file.read(folder .. "/memory.limit_in_bytes") or ""
  return tonumber(text:match("^%d+"))
end

--- Returns how many bytes loading may take where the pipeline does not say it; 0 = that is not known. The parameters
--- are for specs: those of plan/control_groups.lua, and the text of /proc/meminfo.
function memory.for_loading(root, groups, machine)
  machine = machine or text_file.read("/proc/meminfo") or ""
  local least = tonumber(machine:match("MemAvailable:%s+(%d+) kB"))
  least = least and least * 1024
  for _, folder in ipairs(control_groups.folders("memory", root, groups)) do
    local limit = limit_of(folder)
    if limit and (not least or limit < least) then least = limit end
  end
  return least and math.max(LEAST, math.floor(least * PART)) or 0
end

return memory
