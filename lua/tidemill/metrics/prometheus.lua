-- SPDX-License-Identifier: MIT
-- metrics/prometheus.lua: what GET /metrics answers, in the text format of Prometheus (version 0.0.4).
--
-- It is rendered on the engine's thread once a second, so all that does not change is made once: the lines up to their
-- values, and pointers to the counters. Rendering then puts values between texts. Start reading at Page:render.
--
-- So that all series of a name may be added up: what is counted for each step is exported for each step, and not once
-- more for all; what belongs to a pool of workers once for each pool; the lag for each partition that the engine owns.
local buffer = require("string.buffer")
local buckets = require("tidemill.metrics.buckets")
local list = require("tidemill.metrics.list")
local metrics = require("tidemill.metrics")
local names = require("tidemill.metrics.names")
local script_names = require("tidemill.metrics.script_names")
local tide = require("tidemill.run.ffi")
local utf8 = require("tidemill.plan.utf8")
local C = tide.C

local prometheus = {}
local Page = {}
Page.__index = Page

prometheus.TYPE = "text/plain; version=0.0.4; charset=utf-8"

local LARGE = 1e14 -- a buffer writes 14 digits of a number

local function put_number(out, value)
  if value ~= value then
    out:put("NaN")
  elseif value >= LARGE or value <= -LARGE then
    out:put(value - value == 0 and ("%.17g"):format(value) or value > 0 and "+Inf" or "-Inf")
  else
    out:put(value)
  end
end

local ESCAPED = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

--- Returns labels, an array of { name, value }, as they stand between the braces.
function prometheus.labels(labels)
  local parts = {}
  for i, label in ipairs(labels) do
    parts[i] = ('%s="%s"'):format(label[1], utf8.clean(tostring(label[2])):gsub('[\\"\n]', ESCAPED))
  end
  return table.concat(parts, ",")
end

local function head_of(name, kind, help)
  return ("# HELP %s %s\n# TYPE %s %s\n"):format(name, help:gsub("[\\\n]", ESCAPED), name, kind)
end

-- Returns labels with those that all series have, in braces.
function Page:braced(labels)
  local text = prometheus.labels(labels)
  if text ~= "" and self.common ~= "" then text = "," .. text end
  return "{" .. self.common .. text .. "}"
end

-- Each of these adds to self.parts what is rendered in their order: { put = function, ... }; `head` is the text up to
-- the value.

local function put_count(out, part)
  out:put(part.head)
  put_number(out, tonumber(part.counter.count))
  out:put("\n")
end

local function put_microseconds(out, part)
  out:put(part.head)
  put_number(out, tonumber(part.counter.count) * 1e-6)
  out:put("\n")
end

local function put_last(out, part)
  out:put(part.head)
  put_number(out, part.counter.last * part.factor)
  out:put("\n")
end

local function put_histogram(out, part)
  local counter, heads, set = part.counter, part.heads, part.set
  local total, from = 0, 0
  out:put(part.head)
  if counter.count == 0 then
    out:put(part.nothing)
    return
  end
  local counts = counter.buckets
  for i = 1, #set do
    for bucket = from, set[i].to - 1 do total = total + tonumber(counts[bucket]) end
    from = set[i].to
    out:put(heads[i])
    put_number(out, total)
    out:put("\n")
  end
  out:put(part.sum)
  put_number(out, counter.sum)
  out:put(part.count)
  put_number(out, total)
  out:put("\n")
end

-- Returns the lines of a histogram up to their values, and all of them for one that has observed nothing.
local function histogram_part(self, name, labels, unit)
  local part = { put = put_histogram, set = buckets.of(unit), heads = {} }
  local nothing = {}
  for i, bound in ipairs(part.set) do
    local with_bound = { unpack(labels) }
    with_bound[#with_bound + 1] = { "le", bound.le }
    part.heads[i] = name .. "_bucket" .. self:braced(with_bound) .. " "
    nothing[i] = part.heads[i] .. "0\n"
  end
  local braced = self:braced(labels)
  part.sum, part.count = name .. "_sum" .. braced .. " ", "\n" .. name .. "_count" .. braced .. " "
  part.nothing = table.concat(nothing) .. part.sum .. "0" .. part.count .. "0\n"
  return part
end

-- Adds one metric of one row of the counters.
function Page:add_counter(family, metric, row, step)
  local labels = names.labels(metric, self.prefix)
  if step then table.insert(labels, 1, { "step", step }) end
  local part
  if family.kind == "histogram" then
    part = histogram_part(self, family.name, labels, family.unit)
  else
    local put_counted = metric.unit == "microseconds" and put_microseconds or put_count
    part = { put = metric.kind == "counter" and put_counted or put_last,
      line = family.name .. self:braced(labels) .. " ", factor = names.factor(metric, self.prefix) }
  end
  part.counter = C.tide_counters_get(self.counters, row, metric.counter)
  self:add(part)
end

-- Adds a part; the head of its family stands before the first one.
function Page:add(part)
  part.head = (self.head or "") .. (part.line or "")
  self.head = nil
  self.parts[#self.parts + 1] = part
end

-- Adds what is rendered by a function, which gets the buffer and the snapshot; `head` (optional) is for the function.
function Page:add_function(put)
  local head = self.head
  self.head = nil
  self.parts[#self.parts + 1] = { put = function(out, _, snapshot) put(out, snapshot, head) end }
end

-- Adds what is known of each partition. The text of a partition is kept from then on.
function Page:add_partitions(family, field)
  local known = {}
  self:add_function(function(out, snapshot, head)
    local partitions = snapshot.partitions or {}
    local started = false
    for i = 1, #partitions do
      local one = partitions[i]
      local value = one[field]
      if value then
        local of_topic = known[one.topic] or {}
        known[one.topic] = of_topic
        local line = of_topic[one.partition]
        if not line then
          line = family.name .. self:braced { { "topic", one.topic }, { "partition", one.partition } } .. " "
          of_topic[one.partition] = line
        end
        if not started then out:put(head) end
        started = true
        out:put(line)
        put_number(out, value)
        out:put("\n")
      end
    end
  end)
end

-- The field of a partition in a snapshot, by that of engine:lags().
local PARTITION_FIELD = { messages = "lag", seconds = "lag_seconds" }

-- Adds a metric for each of its rows.
function Page:add_rows(family, metric, plan)
  if metric.partition then return self:add_partitions(family, PARTITION_FIELD[metric.partition]) end
  for _, one in ipairs(metrics.rows_of(metric, plan)) do self:add_counter(family, metric, one.row, one.step) end
end

-- What list.totals has: the value of each, from the snapshot.
local states = {}

function states.verdict(self, family)
  local lines = {}
  for i, limit in ipairs(list.limits) do lines[i] = family.name .. self:braced { { "limit", limit } } end
  self:add_function(function(out, snapshot, head)
    local limit = snapshot.verdict and snapshot.verdict.limit or "none"
    out:put(head)
    for i = 1, #lines do out:put(lines[i], limit == list.limits[i] and " 1\n" or " 0\n") end
  end)
end

local function state_value(value_of)
  return function(self, family)
    local line = family.name .. self:braced {} .. " "
    self:add_function(function(out, snapshot, head)
      out:put(head, line)
      put_number(out, value_of(snapshot))
      out:put("\n")
    end)
  end
end

states.verdict_step = state_value(function(snapshot) return snapshot.verdict and snapshot.verdict.step or 0 end)
states.ready = state_value(function(snapshot) return snapshot.ready and 1 or 0 end)

function states.start_time(self, family)
  local line, start = family.name .. self:braced {} .. " ", nil
  self:add_function(function(out, snapshot, head)
    start = start or ("%.3f\n"):format((snapshot.time or 0) / 1000 - (snapshot.uptime or 0))
    out:put(head, line, start)
  end)
end

function states.build_info(self, family)
  local version = require("ffi").string(C.tide_version())
  local line = family.name .. self:braced { { "version", version } } .. " 1\n"
  self:add_function(function(out, _, head) out:put(head, line) end)
end

function Page:add_total(family, metric)
  if metric.state then return states[metric.state](self, family) end
  state_value(function(snapshot) return snapshot.totals[metric.total] end)(self, family)
end

-- What scripts count (tide.metric). A name appears with its first use; from then on it keeps its place in Prometheus.
local function put_scripts(self, out, snapshot)
  self.scripts:each(snapshot, function(series, value)
    out:put(series.head, series.line)
    if type(value) == "number" then
      put_number(out, value)
    elseif series.kind == "gauge" then
      put_number(out, value.last)
    else
      put_number(out, value.sum)
      out:put(series.count)
      put_number(out, value.count)
    end
    out:put("\n")
  end, function(name, kind, help)
    local braced = self:braced {} .. " "
    local head = head_of(name, kind, help)
    if kind ~= "summary" then return { head = head, line = name .. braced } end
    return { head = head, line = name .. "_sum" .. braced, count = "\n" .. name .. "_count" .. braced }
  end)
end

--- Returns a page. engine: tidemill.run.engine; plan: its plan; settings: prefix ("tidemill"), tags (optional: array of
--- { name =, value = }), warn (optional: takes a text about a script metric that is left out).
function prometheus.new(engine, plan, settings)
  local common = { { "pipeline", plan.tables.name } }
  for _, tag in ipairs(settings.tags or {}) do common[#common + 1] = { tag.name, tag.value } end
  local self = setmetatable({ prefix = settings.prefix or "tidemill", parts = {}, out = buffer.new(),
    counters = C.tide_engine_counters(engine.handle), common = prometheus.labels(common) }, Page)
  for _, family in ipairs(names.families(self.prefix)) do
    self.head = head_of(family.name, family.kind, family.help)
    for _, metric in ipairs(family.metrics) do
      if metric.counter then self:add_rows(family, metric, plan) else self:add_total(family, metric) end
    end
  end
  self.scripts = script_names.new(self.prefix, settings.warn)
  return self
end

--- Renders a snapshot and what the counters say now. Returns it as a pointer and a size, valid until the next
--- call.
function Page:render(snapshot)
  local out, parts = self.out, self.parts
  out:reset()
  for i = 1, #parts do parts[i].put(out, parts[i], snapshot) end
  put_scripts(self, out, snapshot)
  return out:ref()
end

--- The same as a string.
function Page:text(snapshot)
  self:render(snapshot)
  return self.out:tostring()
end

return prometheus
