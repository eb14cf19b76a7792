-- SPDX-License-Identifier: MIT
-- tuning/advisor.lua: says what limits a pipeline: of a window (tuning/window.lua) it makes a verdict. It is a pure
-- function of the window, so that specs, the simulation, `tune` and a running pipeline get the same answer:
--
--   advisor.judge(window) -> { limit, step, text, advice, change, evidence, procedure, since = 0 }
--
-- The fields are those of snapshot.verdict (limit = a name of tuning/limits.lua or "none"; step = the number of the
-- step that is the limit, or nil), and `change`, one option to change: { step, option, from, to } or nil.
--
-- How it decides. First it finds the place where the time goes, from the source on: the time of the engine is waiting
-- for the source, or the first step takes nothing, or it works. What blocks the first step is followed through the
-- steps to the one that blocks all before it, or to the output. Then the first limit of the list whose rule holds in
-- that place is the verdict. Start reading at advisor.judge.
local limits = require("tidemill.tuning.limits")
local terms = require("tidemill.tuning.terms")

local advisor = {}

--- An engine that waits for the source for this share of the time could do more: with nothing behind the pipeline keeps
--- up, and else the source is the limit, unless the steps are waited for even longer.
advisor.SLACK = 0.15
--- Messages behind the source's end that count: this many seconds of reading.
advisor.BEHIND = 0.5
--- An engine that is busy for this share of the time is the limit, whatever else waits.
advisor.FULL = 0.9
--- A window that is shorter, in seconds, tells nothing.
advisor.SHORTEST = 0.05

local CAUSES = { "next_step", "dlq", "oldest", "workers", "retry" }

-- Returns whether messages wait in the source. With an unknown lag a source that is waited for counts as slow.
local function is_behind(window)
  local rate = window.messages / window.seconds
  if not window.lag then return window.engine.source >= terms.MOST end
  return window.lag > math.max(1, advisor.BEHIND * rate)
end

local function sum_of(blocked)
  local sum = 0
  for _, cause in ipairs(CAUSES) do sum = sum + blocked[cause] end
  return sum
end

-- Returns the cause for which a step is blocked longest.
local function main_cause(step)
  local best = "workers"
  for _, cause in ipairs(CAUSES) do
    if step.blocked[cause] > step.blocked[best] then best = cause end
  end
  return best
end

-- Of the steps that share the workers of step `n`, the one that has them most.
local function heaviest(window, n)
  local best = n
  for _, number in ipairs(window.steps[n].sharing) do
    if window.steps[number].own > window.steps[best].own then best = number end
  end
  return best
end

-- From the first step on: a step that waits for the next one is not the limit, but the next one is.
local function follow(window)
  for n, step in ipairs(window.steps) do
    local cause = main_cause(step)
    if cause == "dlq" then return "output", n end
    if cause == "workers" then return "step", heaviest(window, n) end
    if cause ~= "next_step" then return "step", n end
  end
  return "output", #window.steps > 0 and #window.steps or nil
end

-- All is read, and what is in the steps is worked off: no step has to refuse a message for that, so what is waited for
-- is seen in the output and in the workers themselves.
local function follow_end(window)
  local used = 0
  for _, step in ipairs(window.steps) do used = math.max(used, step.busy) end
  if math.max(window.output.full, window.output.hold) > used then
    return "output", #window.steps > 0 and #window.steps or nil
  end
  return follow(window)
end

-- Returns the place where the time goes, the number of the step, and whether all is read and is worked off.
local function place_of(window, behind)
  local engine, first = window.engine, window.steps[1]
  local blocked = math.max(engine.blocked, engine.steps, first and sum_of(first.blocked) or 0)
  local ending = engine.steps - engine.blocked >= terms.MOST
  -- With nothing behind it keeps up however long a step was full; but what was read may still be with the steps, so a
  -- lag that is gone says that only of an engine that has waited for the source.
  local slack = engine.source >= advisor.SLACK
    and (window.lag_certain and not behind and not ending or engine.source >= blocked)
  if slack or engine.source >= math.max(blocked, 1 - engine.source - blocked) then return "source", first and 1 end
  if engine.busy >= advisor.FULL or blocked < 1 - engine.source - blocked then return "engine", first and 1 end
  local place, n = (ending and follow_end or follow)(window)
  return place, n, ending
end

-- The step in which messages wait for tide.retry for most of the time; nil when there is none. Other partitions go on
-- meanwhile, and no step is full: so nothing else shows it.
local function retrying(window)
  local best
  for n, step in ipairs(window.steps) do
    if step.retry >= terms.MOST and step.retry > (best and window.steps[best].retry or 0) then best = n end
  end
  return best
end

-- Returns what batches cost of the time that the place has, and what the further rounds after a full output block cost.
-- A round costs what a batch costs. The engine's time is that on the processor: other programs may take its core.
local function costs_of(window, place, step)
  local rounds = step.output_overflow
  local overhead = step.overhead
  if place == "engine" then
    local engine = window.engine
    local worked = (engine.cpu > 0 and math.min(engine.cpu, engine.busy) or engine.busy) * window.seconds * 1e6
    overhead = worked > 0 and math.min(1, step.batches * (1 + rounds) * terms.BATCH_US / worked) or 0
  end
  return overhead / (1 + rounds), overhead * rounds / (1 + rounds)
end

local function case_of(window)
  local behind = is_behind(window)
  local place, n, ending = place_of(window, behind)
  local retried = (place == "source" or ending) and retrying(window)
  if retried then place, n = "retry", retried end
  local case = { window = window, behind = behind, place = place, n = n, step = n and window.steps[n],
    ending = ending, cost = 0, output_cost = 0 }
  if case.step then case.cost, case.output_cost = costs_of(window, place, case.step) end
  return case
end

local function limit_of(case)
  for _, limit in ipairs(limits.list) do
    if limit.holds(case) then return limit end
  end
  return limits.none
end

local percent = terms.percent

local OF_BATCH = { batch_size = true, batch_time = true }
local OF_NEXT = { next_step = true, broker = true, commit = true, workers = true, script = true }

-- The four rows: a name, whether it is done, and what is to be seen.
local function rows_of(case, limit)
  local step = case.step
  if not step then return {} end
  local pressure = step.blocked.next_step + step.blocked.dlq
  return {
    { "input_block", step.input_overflow < 0.01, ("input overflow in %s of the batches"):format(
      percent(step.input_overflow)) },
    { "batch", not OF_BATCH[limit.name], ("%.0f messages a batch; they close by %s; batches cost %s of the time")
      :format(step.mean, terms.main_close(step), percent(case.cost)) },
    { "output_block", step.output_overflow < 0.01, ("output overflow %.2g times a batch"):format(
      step.output_overflow) },
    { "next_step", not OF_NEXT[limit.name], ("backpressure of the next step for %s of the time; workers in use %s, "
      .. "processes %d"):format(percent(pressure), percent(step.busy), step.processes) },
  }
end

-- Rows in the order of Arroyo's tuning procedure: the first that is not done is to be done now, and those after it
-- are to be looked at again.
local function procedure_of(case, limit)
  local procedure, now = {}, false
  for i, row in ipairs(rows_of(case, limit)) do
    local state = now and "later" or row[2] and "done" or "now"
    now = now or state == "now"
    procedure[i] = { name = row[1], state = state, text = row[3] }
  end
  return procedure
end

local IN_PLACE = { workers = true, script = true, output_block = true, input_block = true, batch_size = true,
  batch_time = true }

--- The verdict on a window; see above.
function advisor.judge(window)
  if window.seconds < advisor.SHORTEST or window.messages == 0 then
    local text = window.messages == 0 and "nothing was read in this time"
      or ("%.3f s are too short to be judged"):format(window.seconds)
    return { limit = "none", since = 0, text = text, evidence = {}, procedure = {} }
  end
  local case = case_of(window)
  local limit = limit_of(case)
  return {
    limit = limit.name, step = IN_PLACE[limit.name] and case.n or nil, since = 0, text = limit.sentence(case),
    advice = limit.advice(case), change = limit.change and limit.change(case), evidence = limit.evidence(case),
    procedure = procedure_of(case, limit),
  }
end

return advisor
