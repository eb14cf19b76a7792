-- SPDX-License-Identifier: MIT
-- plan/plan_struct.lua: makes struct tide_plan of the plan table. The struct borrows strings and arrays; `anchor` keeps
-- them alive.
local ffi = require("ffi")
local memory = require("tidemill.plan.memory")
local secrets = require("tidemill.plan.secrets")
require("tidemill.run.ffi") -- declares the types

local plan_struct = {}

local function strings(list, anchor)
  local array = ffi.new("const char *[?]", #list)
  for i, text in ipairs(list) do
    anchor[#anchor + 1] = text
    array[i - 1] = text
  end
  anchor[#anchor + 1] = array
  return array
end

-- Sets fields by name; a list of texts also sets its count.
local function fill(target, fields, anchor)
  for name, value in pairs(fields) do
    if type(value) == "table" then
      target[name] = strings(value, anchor)
      target[name:gsub("s$", "") .. "_count"] = #value
    else
      anchor[#anchor + 1] = value
      target[name] = value
    end
  end
end

local function array_of(type_name, list, anchor, set)
  local array = ffi.new(type_name .. "[?]", math.max(1, #list))
  for i, item in ipairs(list) do set(array, i - 1, item) end
  anchor[#anchor + 1] = array
  return array
end

--- Returns struct tide_plan and its anchor; the caller keeps both for as long as it uses the struct.
function plan_struct.new(tables, options)
  local anchor = { tables.name }
  local plan = ffi.new("struct tide_plan")
  plan.name = tables.name
  fill(plan.source, tables.source, anchor)
  fill(plan.sink, tables.sink, anchor)
  fill(plan.dlq, tables.dlq, anchor)
  fill(plan.commit, tables.commit, anchor)
  fill(plan.reload, tables.reload, anchor)
  fill(plan.reload.canary, tables.canary, anchor)
  fill(plan.sandbox, tables.sandbox, anchor)
  plan.steps = array_of("struct tide_step_plan", tables.steps, anchor, function(array, i, step)
    fill(array[i], step, anchor)
  end)
  plan.step_count = #tables.steps
  plan.tables = array_of("struct tide_table_plan", tables.topic_tables, anchor, function(array, i, item)
    fill(array[i], item, anchor)
  end)
  plan.table_count = #tables.topic_tables
  plan.pools = array_of("uint32_t", tables.pools, anchor, function(array, i, count) array[i] = count end)
  plan.pool_count = #tables.pools
  plan.pools_begin = array_of("uint32_t", tables.pools_begin, anchor, function(array, i, count) array[i] = count end)
  plan.limits = array_of("struct tide_worker_limits", tables.worker_limits, anchor, function(array, i, limits)
    fill(array[i], limits, anchor)
  end)
  plan.join_timeout_us = tables.join_timeout_us
  plan.message_timeout_us = tables.message_timeout_us
  plan.start_timeout_us = tables.start_timeout_us
  plan.retry_timeout_us = tables.retry_timeout_us
  plan.stuck_detector_timeout_us = tables.stuck_detector_timeout_us
  anchor[#anchor + 1] = tables.state_dir
  plan.state_dir = tables.state_dir
  plan.exactly_once = tables.exactly_once
  local variables = secrets.variables { tables.source_properties, tables.sink_properties }
  plan.secret_variables, plan.secret_variable_count = strings(variables, anchor), #variables
  plan.load_memory = tables.load_memory or memory.for_loading()
  plan.worker_memory = tables.worker_memory
  plan.core_dumps = tables.core_dumps or false
  plan.source.until_end = options.until_end or false
  plan.handle_signals = options.handle_signals or false
  plan.reloads = options.reloads or false
  return plan, anchor
end

return plan_struct
