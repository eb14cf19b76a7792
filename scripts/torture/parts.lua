-- SPDX-License-Identifier: MIT
-- The parts of a torture run: which engines there are, which faults are injected, how often, and whether the checker
-- may allow duplicates. The schedule is drawn from a seed; the faults themselves are in nemesis.lua.
local parts = {}

-- static, dynamic: names of the engines with and without static membership; supervised: names of supervisors, each of
-- which runs MEMBERS engines that are static members. faults: how many of each kind. gap: seconds from one to the next,
-- least and greatest. strict: none of the faults may cause a duplicate, in either mode. keyed: what is kept for each
-- key, and judged: counts (counts.lua), or windows (windows.lua). lanes: a step with lanes by key is before that.
-- backlog: how many messages are written beyond what is committed.
parts.MEMBERS = 3

local function with_state(part)
  part.static, part.dynamic, part.gap, part.backlog = { "a", "b" }, { "c" }, { 0.5, 1.1 }, 12000
  part.faults = { kill_engine = 100, kill_worker = 300, leave = 50, lose_state = 10, kill_zygote = 4, stop_engine = 4 }
  return part
end

parts.LIST = {
  short = {
    static = { "a", "b" }, dynamic = { "c" }, gap = { 0.2, 0.6 },
    faults = { kill_worker = 10, segv_worker = 4, stop_worker = 2, kill_workers = 1, kill_engine = 3, kill_zygote = 1,
      stop_engine = 1, leave = 2, kill_broker = 1 },
  },
  power = { -- for spec/torture/power_spec.lua: as little as shows a planted mistake
    static = { "a" }, dynamic = { "b" }, gap = { 0.2, 0.5 },
    faults = { kill_worker = 4, kill_engine = 2, leave = 2 },
  },
  workers = {
    static = { "a" }, dynamic = {}, gap = { 0.08, 0.16 }, strict = true,
    faults = { kill_worker = 560, segv_worker = 240, stop_worker = 100, kill_workers = 100 },
  },
  reloads = {
    static = { "a" }, dynamic = {}, gap = { 0.1, 0.3 }, strict = true,
    faults = { reload = 50, reload_canary = 20, kill_worker = 200, segv_worker = 60, stop_worker = 30 },
  },
  engines = {
    static = { "a", "b" }, dynamic = {}, gap = { 1.2, 2.4 },
    faults = { kill_engine = 100, kill_zygote = 10, stop_engine = 10, kill_worker = 60 },
  },
  rebalances = {
    static = {}, dynamic = { "a", "b", "c" }, gap = { 1.5, 3 },
    faults = { leave = 40, lose = 6, freeze = 6, kill_worker = 40 },
  },
  supervisor = {
    static = {}, dynamic = {}, supervised = { "s" }, gap = { 2, 4 },
    faults = { kill_member = 40, stop_member = 6, kill_zygote = 6, kill_engine = 4, kill_worker = 40,
      segv_worker = 20 },
  },
  counts = { -- the short form of the next, for spec/torture: nobody waits for a transaction to time out
    static = { "a", "b" }, dynamic = {}, gap = { 0.2, 0.5 }, keyed = "counts",
    faults = { kill_engine = 3, kill_worker = 6, lose_state = 1 },
  },
  state = with_state { keyed = "counts" },
  windows = with_state { keyed = "windows" },
  lanes = with_state { keyed = "windows", lanes = true },
  brokers = {
    static = { "a", "b" }, dynamic = {}, gap = { 2, 5 },
    faults = { kill_broker = 10, restart_broker = 10, stop_broker = 5, kill_worker = 40 },
  },
}

local function shuffle(list)
  for i = #list, 2, -1 do
    local j = math.random(i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end

local function sorted_names(counts)
  local names = {}
  for name in pairs(counts) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- The faults of a part in their order: { kind =, gap = seconds since the one before, pick = number in [0, 1) that
--- chooses the process, and how long it takes }. `scale` multiplies the numbers of faults, each of which stays 1 or
--- more.
function parts.schedule(part, seed, scale)
  math.randomseed(seed)
  local kinds = {}
  for _, name in ipairs(sorted_names(part.faults)) do
    for _ = 1, math.max(1, math.floor(part.faults[name] * scale + 0.5)) do kinds[#kinds + 1] = name end
  end
  local events = {}
  for i, kind in ipairs(shuffle(kinds)) do
    events[i] = { kind = kind, gap = part.gap[1] + math.random() * (part.gap[2] - part.gap[1]), pick = math.random() }
  end
  return events
end

return parts
