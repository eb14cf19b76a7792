-- SPDX-License-Identifier: MIT
-- What each part of a run uses, sampled from /proc: the processor time of the engines' threads, of librdkafka's
-- threads, of zygotes and workers, of supervisor and launcher; and the memory of each engine with its zygote and
-- workers (PSS).
local ffi = require "ffi"
local posix = require "tidemill.run.posix"
local tree = require "scripts.bench.tree"

local threads = {}

local read = tree.read

threads.PARTS = { "engine", "librdkafka", "worker", "zygote", "supervisor", "other" }

-- Name and processor seconds of a thread; nil when it is gone.
local function thread_of(pid, tid)
  local text = read(("/proc/%d/task/%s/stat"):format(pid, tid)) or ""
  local name, rest = text:match("^%d+ %((.*)%) (.*)$")
  local user, system = (rest or ""):match("^" .. ("%S+ "):rep(11) .. "(%d+) (%d+)")
  return name, user and (user + system) / tree.TICKS_PER_SECOND
end

local function pss(pid)
  return (tonumber((read(("/proc/%d/smaps_rollup"):format(pid)) or ""):match("\nPss:%s+(%d+)")) or 0) * 1024
end

local methods = {}

--- A meter for a run; `several`: its process is a supervisor. Sample every 20 ms or so: what a process uses after the
--- last sample is lost.
function threads.meter(pid, several)
  return setmetatable({ root = pid, several = several, cpu = {}, part = {}, engines = {}, peak = {}, samples = 0 },
    { __index = methods })
end

-- The ids of a process's threads, as texts.
local function tids_of(pid)
  local list, folder = {}, posix.opendir(("/proc/%d/task"):format(pid))
  if folder == nil then return list end
  while true do
    local entry = posix.readdir(folder)
    if entry == nil then break end
    local name = ffi.string(entry.name)
    if name:find "^%d" then list[#list + 1] = name end
  end
  posix.closedir(folder)
  return list
end

local function take(self, pid, part)
  for _, tid in ipairs(tids_of(pid)) do
    local name, seconds = thread_of(pid, tid)
    if seconds then
      self.cpu[tid] = seconds
      if part ~= "engine" or tonumber(tid) == pid then
        self.part[tid] = part
      else
        self.part[tid] = name:find("^rdk:") and "librdkafka" or "other"
      end
    end
  end
end

-- Notes the memory of an engine and what belongs to it, when that is to be looked at now.
local function take_engine(self, pid, memory)
  take(self, pid, "engine")
  local sum = memory and pss(pid) or 0
  for _, zygote in ipairs(tree.children(pid)) do
    take(self, zygote, "zygote")
    sum = sum + (memory and pss(zygote) or 0)
    for _, worker in ipairs(tree.children(zygote)) do
      take(self, worker, "worker")
      sum = sum + (memory and pss(worker) or 0)
    end
  end
  if memory then self.peak[pid] = math.max(self.peak[pid] or 0, sum) end
end

function methods:sample()
  local memory = self.samples % 10 == 0
  self.samples = self.samples + 1
  if not self.several then return take_engine(self, self.root, memory) end
  local sum = memory and pss(self.root) or 0
  take(self, self.root, "supervisor")
  for _, launcher in ipairs(tree.children(self.root)) do
    take(self, launcher, "supervisor")
    sum = sum + (memory and pss(launcher) or 0)
    for _, engine in ipairs(tree.children(launcher)) do take_engine(self, engine, memory) end
  end
  if memory then self.supervisor = math.max(self.supervisor or 0, sum) end
end

--- Processor seconds by part; those of the busiest thread of librdkafka; the highest memory of an engine, and of
--- supervisor and launcher together (0 without), in bytes.
function methods:totals()
  local cpu, busiest, engine = {}, 0, 0
  for _, part in ipairs(threads.PARTS) do cpu[part] = 0 end
  for tid, seconds in pairs(self.cpu) do
    local part = self.part[tid]
    cpu[part] = cpu[part] + seconds
    if part == "librdkafka" then busiest = math.max(busiest, seconds) end
  end
  for _, bytes in pairs(self.peak) do engine = math.max(engine, bytes) end
  return cpu, busiest, engine, self.supervisor or 0
end

return threads
