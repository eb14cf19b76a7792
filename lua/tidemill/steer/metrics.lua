-- SPDX-License-Identifier: MIT
-- steer/metrics.lua: reads the engine's counters by the names of the metric list.
local ffi = require("ffi")
local list = require("tidemill.steer.metric_list")
local C = require("tidemill.run.ffi").C

local metrics = {}

-- A counter as its number; a gauge or a histogram as a table, a gauge with its present value.
local function value_of(metric, counter)
  if metric.kind == "counter" then return counter.count end
  local value = {
    count = counter.count, sum = counter.sum, min = counter.min, max = counter.max,
    p50 = counter.p50, p99 = counter.p99,
  }
  if metric.kind == "gauge" then value.last = counter.last end
  return value
end

--- Rows of the run_task_with_multiprocessing steps (row 0 is the engine, row i is step i).
function metrics.task_rows(plan)
  local rows = {}
  for i, step in ipairs(plan.draft.steps) do
    if step.kind == "TIDE_STEP_TASK" or step.kind == "TIDE_STEP_REDUCE" then rows[#rows + 1] = i end
  end
  return rows
end

local function with_step(name, number)
  local head, labels = name:match("^(.-){(.*)}$")
  return ("%s{%sstep=%d}"):format(head or name, labels and labels .. "," or "", number)
end

-- One step has the plain name. Several have the label step (1 is the first of them), and the plain name is
-- the sum of a counter.
local function add_steps(values, metric, engine, rows)
  local name, sum = list.full_name(metric), 0
  for number, row in ipairs(rows) do
    local value = value_of(metric, engine:counter(row, metric.counter))
    values[#rows == 1 and name or with_step(name, number)] = value
    sum = metric.kind == "counter" and sum + value or nil
  end
  if #rows > 1 and sum then values[name] = sum end
end

--- All metrics: { name = number or { count, sum, min, max, p50, p99, last } }.
function metrics.collect(engine, plan)
  local values, rows = metrics.of_scripts(engine), metrics.task_rows(plan)
  for _, metric in ipairs(list) do
    if metric.row == "step" then
      add_steps(values, metric, engine, rows)
    else
      values[list.full_name(metric)] = value_of(metric, engine:counter(0, metric.counter))
    end
  end
  return values
end

local KINDS = { [0] = "count", "gauge", "timing" }

local function add_tally(values, tally)
  local name, kind = "script." .. ffi.string(tally.name), KINDS[tally.kind]
  if kind == "count" then
    values[name] = (values[name] or 0) + tally.sum
    return
  end
  local value = values[name] or { count = 0, sum = 0, min = math.huge, max = -math.huge }
  value.count, value.sum = value.count + tonumber(tally.count), value.sum + tally.sum
  value.min, value.max = math.min(value.min, tally.min), math.max(value.max, tally.max)
  if kind == "gauge" then value.last = (value.last or 0) + tally.last end
  values[name] = value
end

--- What scripts count (tide.metric): { ["script.NAME"] = number or { count, sum, min, max, last of a gauge } }, over
--- all workers. A worker may write nonsense there: what is no kind or no name is left out.
function metrics.of_scripts(engine)
  local values, tally = {}, ffi.new("struct tide_tally")
  if not engine.handle then return values end -- it has ended
  local tallies = C.tide_engine_tallies(engine.handle)
  for row = 0, C.tide_tallies_rows(tallies) - 1 do
    local index = 0
    while C.tide_tallies_get(tallies, row, index, tally) == 1 do
      if KINDS[tally.kind] and ffi.string(tally.name):find("^[%a_][%w_.]*$") then add_tally(values, tally) end
      index = index + 1
    end
  end
  return values
end

--- The present value of a gauge, summed over the task steps.
function metrics.steps_gauge(engine, plan, constant)
  local sum = 0
  for _, row in ipairs(metrics.task_rows(plan)) do sum = sum + engine:counter(row, constant).last end
  return sum
end

return metrics
