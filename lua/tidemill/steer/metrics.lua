-- SPDX-License-Identifier: MIT
-- steer/metrics.lua: reads the engine's counters by the names of the metric list.
local list = require("tidemill.steer.metric_list")

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
  local values, rows = {}, metrics.task_rows(plan)
  for _, metric in ipairs(list) do
    if metric.row == "step" then
      add_steps(values, metric, engine, rows)
    else
      values[list.full_name(metric)] = value_of(metric, engine:counter(0, metric.counter))
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
