-- SPDX-License-Identifier: MIT
-- What a process and its descendants use, sampled from /proc: processor time and proportional memory (PSS, in which a
-- page that n processes share counts 1/n in each, so that forked workers and shared blocks count once).
local tree = {}

tree.TICKS_PER_SECOND = 100 -- USER_HZ, the same on all Linux

--- The text of a file of /proc; nil when the process is gone.
function tree.read(path)
  local file = io.open(path, "r")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

--- The pids of the children of a process.
function tree.children(pid)
  local list = {}
  for child in (tree.read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""):gmatch("%d+") do
    list[#list + 1] = tonumber(child)
  end
  return list
end

local function add_descendants(pid, list)
  list[#list + 1] = pid
  for _, child in ipairs(tree.children(pid)) do add_descendants(child, list) end
  return list
end

local function cpu_seconds(pid)
  local text = tree.read(("/proc/%d/stat"):format(pid))
  -- after the name in brackets: state and ten more fields, then the ticks in user and in system mode
  local user, system = (text or ""):match("%) " .. ("%S+ "):rep(11) .. "(%d+) (%d+)")
  return user and (user + system) / tree.TICKS_PER_SECOND
end

local function memory_bytes(pid)
  local kilobytes = (tree.read(("/proc/%d/smaps_rollup"):format(pid)) or ""):match("\nPss:%s+(%d+)")
  return (tonumber(kilobytes) or 0) * 1024
end

--- Process ids of `pid` and its descendants.
function tree.pids(pid)
  return add_descendants(pid, {})
end

--- The memory of a list of processes in bytes (PSS).
function tree.memory(pids)
  local sum = 0
  for _, pid in ipairs(pids) do sum = sum + memory_bytes(pid) end
  return sum
end

local methods = {}

--- A meter for the tree under `pid`. Sample every 20 ms or so: what a process uses after the last sample is lost.
function tree.meter(pid)
  return setmetatable({ root = pid, cpu = {}, peak = 0, samples = 0 }, { __index = methods })
end

function methods:sample()
  local pids = add_descendants(self.root, {})
  for _, pid in ipairs(pids) do
    self.cpu[pid] = cpu_seconds(pid) or self.cpu[pid]
  end
  if self.samples % 10 == 0 then -- walks the page tables, so more seldom
    self.peak = math.max(self.peak, tree.memory(pids))
  end
  self.samples = self.samples + 1
end

--- Processor seconds of all processes seen, and the highest sum of memory in bytes.
function methods:totals()
  local sum = 0
  for _, seconds in pairs(self.cpu) do
    sum = sum + seconds
  end
  return sum, self.peak
end

return tree
