-- SPDX-License-Identifier: MIT
-- metrics/statsd.lua: what a StatsD or DogStatsD server is sent once a second, as packets of up to 1432 bytes, which
-- pass an Ethernet in one piece.
--
-- counters    what was added since the second before (|c); nothing when that is 0
-- gauges      the present value (|g)
-- histograms  what was observed since the second before: a line for each of the engine's buckets that got something,
--             with its middle as the value and the number as the sample rate: 4.1|ms|@0.01 stands for a hundred
--             observations. The middles are moved so that the mean is exact; a quantile is good to 19 %
--
-- Times are milliseconds, as StatsD has them (|ms); sizes are |h, which is |ms for a plain StatsD. Metrics that Arroyo
-- has are all |ms with the prefix arroyo, and times are seconds then, as Arroyo sends them.
--
-- DogStatsD has labels as tags. A plain StatsD knows none: there the labels of a series are parts of its name
-- (.step.1, .topic.orders.partition.0), but not of those with Arroyo's names; pipelines are told apart by their
-- prefixes.
local buffer = require("string.buffer")
local ffi = require("ffi")
local buckets = require("tidemill.metrics.buckets")
local list = require("tidemill.metrics.list")
local metrics = require("tidemill.metrics")
local names = require("tidemill.metrics.names")
local script_names = require("tidemill.metrics.script_names")
local C = require("tidemill.run.ffi").C

local statsd = {}
local Sender = {}
Sender.__index = Sender

statsd.MAX = 1432 -- bytes of a packet

-- ---- lines into packets ----

-- Sends what is in the buffer before this line when both together would be too long.
local function put_line(self, ...)
  local out, before = self.out, #self.out
  out:put(...)
  out:put(self.tail, "\n")
  if #out <= statsd.MAX + 1 or before == 0 then return end -- the last newline is not sent
  self.send(out:get(before - 1))
  out:skip(1)
end

local function flush(self)
  if #self.out > 0 then self.send(self.out:get(#self.out - 1)) end
  self.out:reset()
end

-- A number without an exponent, which not every server reads.
local function number_text(value)
  if value ~= value or value - value ~= 0 then return nil end
  if value % 1 == 0 then return ("%.0f"):format(value) end
  return (("%.9f"):format(value):gsub("%.?0+$", ""))
end

-- ---- names and tags ----

local function clean(text)
  return (tostring(text):gsub("[%c,|#]", "_"))
end

local function part_of_name(text)
  return (tostring(text):gsub("[^%w_-]", "_"))
end

-- Returns the text before the value, and the one behind the kind.
local function frame(self, name, labels)
  local parts = {}
  if self.plain then
    for i, label in ipairs(labels) do parts[i] = "." .. label[1] .. "." .. part_of_name(label[2]) end
    if self.engine then parts[#parts + 1] = ".engine." .. self.engine end
    return name .. table.concat(parts) .. ":", ""
  end
  for i, label in ipairs(labels) do parts[i] = "," .. label[1] .. ":" .. clean(label[2]) end
  return name .. ":", "|#" .. self.tags .. table.concat(parts)
end

-- ---- one series ----

-- Each of these sends what a series has to say. `tail` of the sender is what ends the line.

local function put_counter(self, series, value)
  local difference = value - series.before
  series.before = value
  if difference <= 0 then return end
  self.tail = series.tail
  put_line(self, series.head, number_text(difference * series.factor), "|c")
end

local function put_gauge(self, series, value)
  local text = number_text(value * series.factor)
  if not text then return end
  self.tail = series.tail
  if value < 0 and self.plain then put_line(self, series.head, "0|g") end -- a sign would mean a change
  put_line(self, series.head, text, "|g")
end

-- How many observations a line stands for, as a sample rate. It is a little less than 1 / n: servers cut off what is
-- behind the point of 1 / rate.
local function rate_text(count)
  if count == 1 then return "" end
  return "|@" .. ("%.15f"):format((1 - 1e-9) / count):gsub("0+$", "")
end

local function put_timing(self, series, value, count)
  local text = number_text(value * series.factor)
  if not text then return end
  self.tail = series.tail
  put_line(self, series.head, text, series.kind, rate_text(count))
end

local function put_histogram(self, series)
  local counter, before = series.counter, series.buckets
  local sum, approximate = counter.sum - series.sum, 0
  if counter.count == series.count then return end
  for i = 0, C.TIDE_BUCKETS - 1 do
    approximate = approximate + tonumber(counter.buckets[i] - before[i]) * buckets.middle(i)
  end
  local correction = approximate > 0 and sum / approximate or 1
  if not (correction > 0.75 and correction < 1.34) then correction = 1 end -- zeros, or beyond the last bucket
  for i = 0, C.TIDE_BUCKETS - 1 do
    local count = tonumber(counter.buckets[i] - before[i])
    if count > 0 then put_timing(self, series, buckets.middle(i) * correction, count) end
    before[i] = counter.buckets[i]
  end
  series.count, series.sum = counter.count, counter.sum
end

-- ---- all series ----

local function is_arroyo(self, metric)
  return self.prefix == names.ARROYO and metric.arroyo ~= nil
end

-- Returns a series without its source. Of a series of the engine's counters the first difference is against 0.
local function new_series(self, metric, labels)
  local arroyo = is_arroyo(self, metric)
  local head, tail = frame(self, names.statsd(metric, self.prefix), self.plain and arroyo and {} or labels)
  local time = metric.unit == "seconds" and metric.kind == "histogram"
  local kind = (time or arroyo or self.plain) and "|ms" or "|h"
  local factor = metric.unit == "microseconds" and 1e-3 or time and not arroyo and 1e3
    or arroyo and metric.arroyo_factor or 1
  return { head = head, tail = tail, kind = kind, factor = factor, before = 0 }
end

local function add_counters(self, metric, plan, counters)
  for _, one in ipairs(metrics.rows_of(metric, plan)) do
    local labels = names.labels(metric, self.prefix)
    if one.step then table.insert(labels, 1, { "step", one.step }) end
    local series = new_series(self, metric, labels)
    series.counter = C.tide_counters_get(counters, one.row, metric.counter)
    local put
    if metric.kind == "histogram" then
      series.buckets, series.sum, series.count = ffi.new("uint64_t[?]", C.TIDE_BUCKETS), 0, 0
      put = put_histogram
    elseif metric.kind == "counter" then
      local put_kind = names.kind(metric, self.prefix) == "gauge" and put_gauge or put_counter
      put = function(sender) put_kind(sender, series, tonumber(series.counter.count)) end
    else
      put = function(sender) put_gauge(sender, series, series.counter.last) end
    end
    self.parts[#self.parts + 1] = function(sender) put(sender, series) end
  end
end

local PARTITION_FIELD = { messages = "lag", seconds = "lag_seconds" }

local function add_partitions(self, metric)
  local field, known = PARTITION_FIELD[metric.partition], {}
  self.parts[#self.parts + 1] = function(sender, snapshot)
    for _, one in ipairs(snapshot.partitions) do
      local key = one.topic .. "/" .. one.partition
      known[key] = known[key] or new_series(sender, metric, { { "topic", one.topic }, { "partition", one.partition } })
      if one[field] then put_gauge(sender, known[key], one[field]) end
    end
  end
end

local function add_total(self, metric)
  local series = new_series(self, metric, {})
  local put = metric.kind == "counter" and put_counter or put_gauge
  self.parts[#self.parts + 1] = function(sender, snapshot) put(sender, series, snapshot.totals[metric.total]) end
end

local function add_verdict(self, metric)
  local all = {}
  for i, limit in ipairs(list.limits) do all[i] = new_series(self, metric, { { "limit", limit } }) end
  self.parts[#self.parts + 1] = function(sender, snapshot)
    for i, limit in ipairs(list.limits) do
      put_gauge(sender, all[i], snapshot.verdict and snapshot.verdict.limit == limit and 1 or 0)
    end
  end
end

-- What scripts count. Of timings only count and sum are known, so that a line has the mean of a second.
local function put_scripts(self, snapshot)
  for key, value in pairs(snapshot.metrics) do
    if key:find("^script%.") then
      local kind, unit = script_names.kind_of(value)
      local series = self.scripts[key]
      if not series then
        series = new_series(self, { name = key, kind = kind == "summary" and "histogram" or kind, unit = unit }, {})
        series.count, series.sum = 0, 0
        self.scripts[key] = series
      end
      if kind == "counter" then
        put_counter(self, series, value)
      elseif kind == "gauge" then
        put_gauge(self, series, value.last)
      elseif value.count > series.count then
        local count = value.count - series.count
        put_timing(self, series, (value.sum - series.sum) / count, count)
        series.count, series.sum = value.count, value.sum
      end
    end
  end
end

--- Returns a sender. settings: prefix, tags (array of { name =, value = }), format ("dogstatsd" or "statsd"), engine
--- (its number, for a plain StatsD, where there are several).
--- send(text) takes a packet.
function statsd.new(engine, plan, settings, send)
  local tags = { "pipeline:" .. clean(plan.tables.name) }
  for _, tag in ipairs(settings.tags or {}) do tags[#tags + 1] = tag.name .. ":" .. clean(tag.value) end
  local self = setmetatable({ prefix = settings.prefix or "tidemill", plain = settings.format == "statsd", send = send,
    engine = settings.engine,
    tags = table.concat(tags, ","), parts = {}, scripts = {}, out = buffer.new(), tail = "" }, Sender)
  local counters = C.tide_engine_counters(engine.handle)
  for _, metric in ipairs(list) do
    if metric.partition then add_partitions(self, metric) else add_counters(self, metric, plan, counters) end
  end
  for _, metric in ipairs(list.totals) do
    if metric.total then add_total(self, metric) elseif metric.state == "verdict" then add_verdict(self, metric) end
  end
  return self
end

--- Sends what has changed since the last call, and the gauges.
function Sender:second(snapshot)
  for _, put in ipairs(self.parts) do put(self, snapshot) end
  put_scripts(self, snapshot)
  flush(self)
end

return statsd
