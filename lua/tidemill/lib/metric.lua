-- SPDX-License-Identifier: MIT
-- lib/metric.lua: tide.metric.count(name[, by]), gauge(name, value), timing(name, seconds): script metrics, reported as
-- script.NAME and summed over the workers. A name has up to 47 letters, digits, _ and ., and exists from its first use
-- on; there may be 64 names. A call that cannot be counted rejects no message: it is dropped and counted
-- (consumer.script_metrics.dropped), and the first for each reason is logged, by each worker.
local ffi = require("ffi")
local integer = require("tidemill.run.integer")
local library = require("tidemill.run.ffi")
local log = require("tidemill.lib.log")
local worker = require("tidemill.run.worker")
local C = library.C

local metric = {}

local WHY = {
  [C.TIDE_SCRIPT_METRIC_BAD_NAME] = 'a name has up to 47 letters, digits, _ and ., as "orders.late"',
  [C.TIDE_SCRIPT_METRIC_BAD_VALUE] = "the value is no number, or none that can be summed",
  [C.TIDE_SCRIPT_METRIC_TWO_KINDS] = "the name is used for another kind of metric too",
  [C.TIDE_SCRIPT_METRIC_TOO_MANY] = "there are 64 names already; a metric's name is not made from data",
}
local script_metrics, row -- of this worker, in the engine's table
local known = {}

-- The line of the script. The levels are this function, drop, add, the function that the script calls, the script.
local function place()
  local caller = debug.getinfo(5, "Sl")
  return caller and caller.currentline > 0 and ("%s:%d: "):format(caller.short_src, caller.currentline) or ""
end

local function drop(why, kind, name)
  if C.tide_script_metrics_drop(script_metrics, row, why) == 0 then return end
  local shown = type(name) == "string" and name or type(name)
  log.warn("%stide.metric.%s of %s counts nothing: %s; further such calls are counted only", place(), kind,
    ("%q"):format(shown:sub(1, 60)), WHY[why])
end

local function index_of(kind, name)
  if type(name) ~= "string" or not name:find("^[%a_][%w_.]*$") then return -1 - C.TIDE_SCRIPT_METRIC_BAD_NAME end
  local index = C.tide_script_metrics_index(script_metrics, row, name, kind)
  if index >= 0 then known[kind][name] = index end
  return index
end

local int64, uint64 = ffi.typeof("int64_t"), ffi.typeof("uint64_t")

-- The value as a finite number; nil for anything else.
local function finite(value)
  value = integer.cdata(value) or value
  if ffi.istype(int64, value) or ffi.istype(uint64, value) then value = tonumber(value) end
  return type(value) == "number" and value - value == 0 and value or nil
end

-- The unusual cases: the first use of a name, a value that is no number, and what cannot be counted.
local function add(word, kind, name, value)
  script_metrics, row = worker.script_metrics()
  if not script_metrics then error("tide.metric counts in workers only, not while a file is loaded", 3) end
  local number = finite(value)
  if not number or (kind == C.TIDE_SCRIPT_METRIC_COUNT and number < 0) then
    drop(C.TIDE_SCRIPT_METRIC_BAD_VALUE, word, name)
    return
  end
  local index = known[kind][name] or index_of(kind, name)
  if index < 0 then
    drop(-1 - index, word, name)
    return
  end
  C.tide_script_metrics_add(script_metrics, row, index, number)
end

local function adder(word, kind, default)
  known[kind] = {}
  local indexes = known[kind]
  return function(name, value)
    if value == nil then value = default end
    local index = indexes[name]
    if index and type(value) == "number" and value >= 0 and value < math.huge then
      C.tide_script_metrics_add(script_metrics, row, index, value)
    else
      add(word, kind, name, value)
    end
  end
end

metric.count = adder("count", C.TIDE_SCRIPT_METRIC_COUNT, 1)
metric.gauge = adder("gauge", C.TIDE_SCRIPT_METRIC_GAUGE)
metric.timing = adder("timing", C.TIDE_SCRIPT_METRIC_TIMING)

return metric
