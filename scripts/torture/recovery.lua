-- SPDX-License-Identifier: MIT
-- Computes how long it took to recover, from the journal and from the times at which the broker appended the results;
-- and how long workers were stopped.
local recovery = {}

-- The events of the journal that end a worker.
local ENDS = { kill_worker = true, segv_worker = true, crash = true, hang = true }

--- The value below which `share` of the sorted list lies; nil when it is empty.
function recovery.percentile(list, share)
  if #list == 0 then return nil end
  return list[math.max(1, math.ceil(share * #list))]
end

-- Within one life of an engine each worker that starts after the first `processes` replaces the one that has been
-- dead the longest. A hang ends `timeout_ms` after it has begun, unless it is killed before.
local function deaths_of(entries, timeout_ms)
  local deaths, by_pid = {}, {}
  for _, entry in ipairs(entries) do
    if ENDS[entry.event] then
      local time = entry.time + (entry.event == "hang" and timeout_ms or 0)
      local known = by_pid[entry.pid]
      if not known then
        known = { time = time, hang = entry.event == "hang" }
        by_pid[entry.pid], deaths[#deaths + 1] = known, known
      elseif time < known.time then
        known.time, known.hang = time, false
      end
    end
  end
  table.sort(deaths, function(a, b) return a.time < b.time end)
  return deaths
end

local function by_run(entries)
  local runs = {}
  for _, entry in ipairs(entries) do
    runs[entry.run] = runs[entry.run] or {}
    table.insert(runs[entry.run], entry)
  end
  return runs
end

--- Milliseconds from the death of a worker to the moment when its replacement was ready, sorted. Workers that were
--- killed after a timeout are left out, since the journal does not have that moment.
function recovery.workers(entries, processes, timeout_ms)
  local times = {}
  for _, of_run in pairs(by_run(entries)) do
    local deaths, births, next_death = deaths_of(of_run, timeout_ms), 0, 1
    for _, entry in ipairs(of_run) do
      if entry.event == "start" then births = births + 1 end
      local death = deaths[next_death]
      if entry.event == "start" and births > processes and death and death.time <= entry.time then
        next_death = next_death + 1
        if not death.hang then times[#times + 1] = entry.time - death.time end
      end
    end
  end
  table.sort(times)
  return times
end

--- How many of the stops of a worker that the nemesis was to end before `timeout_ms` have lasted that long. A worker
--- runs again with the first of several signals to go on.
function recovery.long_stops(entries, timeout_ms)
  local stopped, count = {}, 0
  for _, entry in ipairs(entries) do
    local pid = entry.pid
    if entry.event == "stop_worker" then
      stopped[pid] = stopped[pid] or entry.time
    elseif entry.event == "resume_worker" and stopped[pid] then
      if entry.time - stopped[pid] >= timeout_ms then count = count + 1 end
      stopped[pid] = nil
    end
  end
  return count
end

--- Milliseconds from the start of an engine that replaces one that died to its first result in a topic, sorted. Lives
--- that ended before their first result are left out. `topics` are lists of records.
function recovery.engines(entries, topics)
  local first, times = {}, {}
  for _, records in ipairs(topics) do
    for _, record in ipairs(records) do
      for _, header in ipairs(record.headers) do
        if header[1] == "run" then
          first[header[2]] = math.min(first[header[2]] or math.huge, record.timestamp)
        end
      end
    end
  end
  for _, entry in ipairs(entries) do
    local life = tonumber(entry.run:match("%.(%d+)$"))
    if entry.event == "launch" and life > 1 and first[entry.run] then
      times[#times + 1] = first[entry.run] - entry.time
    end
  end
  table.sort(times)
  return times
end

return recovery
