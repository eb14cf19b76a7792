-- SPDX-License-Identifier: MIT
-- metrics/script_names.lua: what script metrics (tide.metric) are called in Prometheus, and that no two have one name.
--
-- count("orders.late")    PREFIX_script_orders_late_total        a counter
-- gauge("cache.size")     PREFIX_script_cache_size               a gauge, summed over the workers
-- timing("lookup", s)     PREFIX_script_lookup_seconds_sum, _count   a summary without quantiles
--
-- "a.b" and "a_b" would have one name. The first of them keeps it; the other one is left out, and said once.
local names = require("tidemill.metrics.names")

local script_names = {}
local Names = {}
Names.__index = Names

--- Returns kind, unit and what the script called, of a value as in a snapshot.
function script_names.kind_of(value)
  if type(value) == "number" then return "counter", "", "count" end
  if value.last then return "gauge", "", "gauge" end
  return "summary", "seconds", "timing"
end

-- The names of the lines that a metric has beside its own.
local SUFFIXES = { counter = {}, gauge = {}, summary = { "_sum", "_count" } }

--- prefix: of all names. warn (optional) takes the text about a metric that is left out.
function script_names.new(prefix, warn)
  return setmetatable({ prefix = prefix, warn = warn or function() end, taken = {}, known = {}, order = {} }, Names)
end

-- Takes the names for a metric; nil, and the metric that has one of them, when they are taken.
local function take(self, key, name, kind)
  local all = { name }
  for _, suffix in ipairs(SUFFIXES[kind]) do all[#all + 1] = name .. suffix end
  for _, one in ipairs(all) do
    if self.taken[one] then return nil, self.taken[one] end
  end
  for _, one in ipairs(all) do self.taken[one] = key end
  return true
end

local function add(self, key, value, make)
  local kind, unit, call = script_names.kind_of(value)
  local name = names.prometheus_name(self.prefix, key, kind, unit)
  local free, other = take(self, key, name, kind)
  self.known[key] = true
  if not free then
    self.warn(('tide.metric: "%s" is not exported: in Prometheus it would have the name of "%s", %s; rename one of '
      .. "them"):format(key:gsub("^script%.", ""), other:gsub("^script%.", ""), name))
    return
  end
  local series = make(name, kind, ("What the functions count by tide.metric.%s(%q)."):format(call,
    key:gsub("^script%.", "")))
  series.key, series.kind = key, kind
  self.order[#self.order + 1] = series
end

--- Calls put(series, value) for each script metric of a snapshot, always in the same order. A new one is made by
--- make(name, kind, help), which returns a table.
function Names:each(snapshot, put, make)
  local values, new = snapshot.metrics or {}, nil
  for key in pairs(values) do
    if not self.known[key] and key:find("^script%.") then
      new = new or {}
      new[#new + 1] = key
    end
  end
  if new then
    table.sort(new)
    for _, key in ipairs(new) do add(self, key, values[key], make) end
  end
  for _, series in ipairs(self.order) do
    if values[series.key] then put(series, values[series.key]) end
  end
end

return script_names
