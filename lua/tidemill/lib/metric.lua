-- SPDX-License-Identifier: MIT
-- lib/metric.lua: tide.metric.count(name[, by]), gauge(name, value), timing(name, seconds): metrics of one's own, in
-- the report as script.NAME, summed over the workers. A name has letters, digits, _ and . and is given by its first
-- use; there may be 64.
local library = require("tidemill.run.ffi")
local worker = require("tidemill.run.worker")
local C = library.C

local metric = {}

local tallies, row -- of this worker, in the engine's table
local known = {}

local function index_of(kind, name)
  tallies, row = worker.place()
  if not tallies then error("tide.metric counts in workers only, not while a file is loaded", 3) end
  if type(name) ~= "string" or not name:find("^[%a_][%w_.]*$") then
    error("a metric's name has letters, digits, _ and ., as \"orders.late\"", 3)
  end
  local index = C.tide_tallies_index(tallies, row, name, kind)
  if index < 0 then error("tide.metric: " .. library.error(), 3) end
  known[kind][name] = index
  return index
end

local function adder(kind, default)
  known[kind] = {}
  local indexes = known[kind]
  return function(name, value)
    value = value or default
    if type(value) ~= "number" or value ~= value then error("a metric takes a number", 2) end
    local index = indexes[name] or index_of(kind, name)
    C.tide_tallies_add(tallies, row, index, value)
  end
end

metric.count = adder(C.TIDE_TALLY_COUNT, 1)
metric.gauge = adder(C.TIDE_TALLY_GAUGE)
metric.timing = adder(C.TIDE_TALLY_TIMING)

return metric
