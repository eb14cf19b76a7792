-- SPDX-License-Identifier: MIT
-- metrics/init.lua: reads the engine's counters by the names of the metric list.
local ffi = require("ffi")
local list = require("tidemill.metrics.list")
local C = require("tidemill.run.ffi").C

local metrics = {}

-- Returns a counter as a number; a gauge or a histogram as a table, and a gauge with its present value.
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
  for i, step in ipairs(plan.tables.steps) do
    if step.kind == "TIDE_STEP_TASK" or step.kind == "TIDE_STEP_REDUCE" then rows[#rows + 1] = i end
  end
  return rows
end

--- Of these rows the first one of each pool: { [row] = the numbers of the steps that share the pool, as "1" or "1,3" }.
--- What belongs to a pool is counted in the rows of all its steps, so one of them stands for all.
function metrics.pools_of_rows(plan, rows)
  local first, texts = {}, {}
  for number, row in ipairs(rows) do
    local pool = plan.tables.steps[row].pool or row
    first[pool] = first[pool] or row
    local text = texts[first[pool]]
    texts[first[pool]] = (text and text .. "," or "") .. number
  end
  return texts
end

--- The rows in which a metric is counted, such that their sum counts nothing twice: an array of { row =, step = the
--- text of the label step, nil where the engine as a whole is meant }.
function metrics.rows_of(metric, plan)
  if metric.row ~= "step" then return { { row = 0 } } end
  local all, rows = {}, metrics.task_rows(plan)
  local pools = metric.pool and metrics.pools_of_rows(plan, rows)
  for number, row in ipairs(rows) do
    if not pools then all[#all + 1] = { row = row, step = tostring(number) } end
    if pools and pools[row] then all[#all + 1] = { row = row, step = pools[row] } end
  end
  return all
end

-- Adds a metric of the steps that have workers. When there are several, each has the label step (1 is the first of
-- them), and the plain name stands for all of them together, of a gauge for the sum of the present values only.
local function add_steps(samples, metric, engine, plan, rows)
  local summed = {}
  for i, one in ipairs(metrics.rows_of(metric, plan)) do summed[i] = one.row end
  local total = value_of(metric, engine:counter(summed, metric.counter))
  if #rows > 1 and metric.kind == "gauge" then total = { last = total.last } end
  samples[#samples + 1] = { metric = metric, labels = {}, value = total }
  for number, row in ipairs(#rows > 1 and rows or {}) do
    samples[#samples + 1] = { metric = metric, labels = { { "step", number } },
      value = value_of(metric, engine:counter(row, metric.counter)) }
  end
end

-- Adds the present value of each partition where it is known.
local function add_partitions(samples, metric, lags)
  for _, lag in ipairs(lags) do
    samples[#samples + 1] = { metric = metric, labels = { { "topic", lag.topic }, { "partition", lag.partition } },
      value = lag[metric.partition] }
  end
end

--- Returns what there is to tell, in the order of the list: an array of { metric = its entry, labels = array of { name,
--- value } beside the entry's own, value = number or { count, sum, min, max, p50, p99, last of a gauge } }.
--- without_partitions: what is known of each partition is left out.
function metrics.samples(engine, plan, without_partitions)
  local samples, rows, lags = {}, metrics.task_rows(plan), without_partitions and {} or engine:lags()
  for _, metric in ipairs(list) do
    if metric.row == "step" then
      if #rows > 0 then add_steps(samples, metric, engine, plan, rows) end
    else
      local value = value_of(metric, engine:counter(0, metric.counter))
      samples[#samples + 1] = { metric = metric, labels = {}, value = value }
      if metric.partition then add_partitions(samples, metric, lags) end
    end
  end
  return samples
end

--- Returns the same and what scripts count, by name: { ["consumer.lag{topic=in,partition=0}"] = value }.
function metrics.collect(engine, plan, without_partitions)
  local values = metrics.of_scripts(engine)
  for _, sample in ipairs(metrics.samples(engine, plan, without_partitions)) do
    values[list.full_name(sample.metric, sample.labels)] = sample.value
  end
  return values
end

local KINDS = { [0] = "count", "gauge", "timing" }

local function add_script_metric(values, name, kind, metric)
  if kind == "count" then
    values[name] = (values[name] or 0) + metric.sum
    return
  end
  local value = values[name] or { count = 0, sum = 0, min = math.huge, max = -math.huge }
  value.count, value.sum = value.count + tonumber(metric.count), value.sum + metric.sum
  value.min, value.max = math.min(value.min, metric.min), math.max(value.max, metric.max)
  if kind == "gauge" then value.last = (value.last or 0) + metric.last end
  values[name] = value
end

-- A name has one kind for the whole run, the first one that is seen: a worker refuses a second kind of its own names,
-- but knows nothing of the other workers. There are as many names as the table has room for, so that a worker which
-- writes new ones all the time does not fill the memory.
local function is_known(engine, name, kind, most)
  local known = engine.script_metrics or { kinds = {}, count = 0, told = {} }
  engine.script_metrics = known
  local first = known.kinds[name]
  if not first and known.count < most then
    known.kinds[name], known.count = kind, known.count + 1
    return true
  end
  if first and first ~= kind and not known.told[name] then
    known.told[name] = true
    C.tide_log_text("TIDE_LOG_WARN", ('tide.metric: "%s" is a %s in one worker and a %s in another; the %s is '
      .. "not reported, rename it"):format(name, first, kind, kind))
  end
  return first == kind
end

local function is_finite(metric)
  return metric.sum - metric.sum == 0 and metric.min - metric.min == 0 and metric.max - metric.max == 0
    and metric.last - metric.last == 0
end

--- What scripts count (tide.metric): { ["script.NAME"] = number or { count, sum, min, max, last of a gauge } }, over
--- all workers. A worker may write nonsense there: what has no kind, no name or no finite numbers is left out.
function metrics.of_scripts(engine)
  local values, metric = {}, ffi.new("struct tide_script_metric")
  if not engine.handle then return values end -- it has ended
  local script_metrics = C.tide_engine_script_metrics(engine.handle)
  local rows = C.tide_script_metrics_rows(script_metrics)
  local most = rows * C.TIDE_SCRIPT_METRIC_NAMES
  for row = 0, rows - 1 do
    local index = 0
    while C.tide_script_metrics_get(script_metrics, row, index, metric) == 1 do
      local name, kind = ffi.string(metric.name), KINDS[metric.kind]
      if kind and is_finite(metric) and name:find("^[%a_][%w_.]*$") and is_known(engine, name, kind, most) then
        add_script_metric(values, "script." .. name, kind, metric)
      end
      index = index + 1
    end
  end
  return values
end

--- Returns the present value of a gauge, summed over the task steps.
function metrics.steps_gauge(engine, plan, constant)
  local sum = 0
  for _, row in ipairs(metrics.task_rows(plan)) do sum = sum + engine:counter(row, constant).last end
  return sum
end

--- Returns how many processes there are, of all pools; steps that share one have it counted once.
function metrics.processes(engine, plan)
  local sum, counted = 0, {}
  for _, row in ipairs(metrics.task_rows(plan)) do
    local pool = plan.tables.steps[row].pool
    if not counted[pool] then sum = sum + engine:counter(row, "TIDE_M_PROCESSES").last end
    counted[pool] = true
  end
  return sum
end

return metrics
