-- SPDX-License-Identifier: MIT
-- metrics/names.lua: what a metric of the list is called outside. The rules, which docs/metrics.md states for users:
--
-- StatsD       PREFIX.name
-- Prometheus   PREFIX_name with _ for each dot; then _seconds or _bytes after the unit, unless the name ends so; then
--              _total for a counter, in place of _count where the name ends so. Times are in seconds always
-- prefix = "arroyo"   a metric that Arroyo has is called exactly as there, with _ for each dot in Prometheus, as the
--              statsd_exporter does it, and nothing is appended; all others follow the rules above
local list = require("tidemill.metrics.list")

local names = {}

names.ARROYO = "arroyo"

local SUFFIX = { seconds = "_seconds", microseconds = "_seconds", bytes = "_bytes" }

local function ends_with(text, ending)
  return text:sub(-#ending) == ending
end

--- Returns the name in Prometheus of a metric called `name`, with its kind and unit.
function names.prometheus_name(prefix, name, kind, unit)
  local text = (prefix .. "_" .. name):gsub("%.", "_")
  local suffix = SUFFIX[unit]
  if suffix and not ends_with(text, suffix) then text = text .. suffix end
  if kind ~= "counter" then return (text:gsub("_count$", "s")) end -- _count is for histograms
  if ends_with(text, "_total") then return text end
  return text:gsub("_count$", "") .. "_total"
end

-- True when the metric takes Arroyo's name.
local function is_arroyo(metric, prefix)
  return prefix == names.ARROYO and metric.arroyo ~= nil
end

--- Returns the name of an entry of the list in Prometheus.
function names.prometheus(metric, prefix)
  if is_arroyo(metric, prefix) then return (metric.arroyo:gsub("%.", "_")) end
  return names.prometheus_name(prefix, metric.name, metric.kind, metric.unit)
end

--- Returns the name of an entry of the list in StatsD.
function names.statsd(metric, prefix)
  if is_arroyo(metric, prefix) then return metric.arroyo end
  return prefix .. "." .. metric.name
end

--- Returns the kind that an entry of the list has outside.
function names.kind(metric, prefix)
  return is_arroyo(metric, prefix) and metric.arroyo_kind or metric.kind
end

--- Returns by what a value of an entry is multiplied to be in the unit that its name says, or in Arroyo's.
function names.factor(metric, prefix)
  if prefix and is_arroyo(metric, prefix) and metric.arroyo_factor then return metric.arroyo_factor end
  return metric.unit == "microseconds" and 1e-6 or 1
end

--- Returns an entry's own labels, an array of { name, value }.
function names.labels(metric, prefix)
  local labels = is_arroyo(metric, prefix) and metric.arroyo_labels or metric.labels
  local array = {}
  for name, value in pairs(labels or {}) do array[#array + 1] = { name, value } end
  return array
end

--- Returns the entries of the list and of list.totals by their names in Prometheus, in their order: an array of { name,
--- kind, unit, help, metrics = array of entries }.
function names.families(prefix)
  local families, known = {}, {}
  for _, entries in ipairs { list, list.totals } do
    for _, metric in ipairs(entries) do
      local name = names.prometheus(metric, prefix)
      if not known[name] then
        known[name] = { name = name, kind = names.kind(metric, prefix), unit = metric.unit, row = metric.row,
          help = metric.family or metric.help, metrics = {} }
        families[#families + 1] = known[name]
      end
      table.insert(known[name].metrics, metric)
    end
  end
  return families
end

return names
