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

-- A step's metric. Several steps have the label step too (1 is the first of them); the plain name is then all of
-- them together, of a gauge the sum of the present values only.
local function add_steps(samples, metric, engine, rows)
  local total = value_of(metric, engine:counter(rows, metric.counter))
  if #rows > 1 and metric.kind == "gauge" then total = { last = total.last } end
  samples[#samples + 1] = { metric = metric, labels = {}, value = total }
  for number, row in ipairs(#rows > 1 and rows or {}) do
    samples[#samples + 1] = { metric = metric, labels = { { "step", number } },
      value = value_of(metric, engine:counter(row, metric.counter)) }
  end
end

-- The present value, for each partition where it is known.
local function add_partitions(samples, metric, lags)
  for _, lag in ipairs(lags) do
    samples[#samples + 1] = { metric = metric, labels = { { "topic", lag.topic }, { "partition", lag.partition } },
      value = lag[metric.partition] }
  end
end

--- What there is to tell, in the order of the list: array of { metric = its entry, labels = array of { name, value }
--- beside the entry's own, value = number or { count, sum, min, max, p50, p99, last of a gauge } }.
function metrics.samples(engine, plan)
  local samples, rows, lags = {}, metrics.task_rows(plan), engine:lags()
  for _, metric in ipairs(list) do
    if metric.row == "step" then
      if #rows > 0 then add_steps(samples, metric, engine, rows) end
    else
      local value = value_of(metric, engine:counter(0, metric.counter))
      samples[#samples + 1] = { metric = metric, labels = {}, value = value }
      if metric.partition then add_partitions(samples, metric, lags) end
    end
  end
  return samples
end

--- The same and what scripts count, by name: { ["consumer.lag{topic=in,partition=0}"] = value }.
function metrics.collect(engine, plan)
  local values = metrics.of_scripts(engine)
  for _, sample in ipairs(metrics.samples(engine, plan)) do
    values[list.full_name(sample.metric, sample.labels)] = sample.value
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
