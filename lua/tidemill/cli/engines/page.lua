-- SPDX-License-Identifier: MIT
-- cli/engines/page.lua: makes one page of /metrics of those of several engines, whose series have the label engine. A
-- family may stand on a page only once, so the series of one family are put together, under the head that came first.
local list = require("tidemill.metrics.list")
local names = require("tidemill.metrics.names")
local prometheus = require("tidemill.metrics.prometheus")

local page = {}

local HEAD = "# HELP "

-- Calls found(name, head, lines) for each family of a page.
local function each_family(text, found)
  local from = text:sub(1, #HEAD) == HEAD and 1 or nil
  while from do
    local next_head = text:find("\n" .. HEAD, from, true)
    local block = text:sub(from, next_head)
    local head, lines = block:match("^([^\n]*\n[^\n]*\n)(.*)$")
    if head then found(head:match("^# HELP (%S+)"), head, lines) end
    from = next_head and next_head + 1
  end
end

--- Puts several pages into one, with `more` (optional) behind them.
function page.merge(texts, more)
  local order, families = {}, {}
  for _, text in ipairs(texts) do
    each_family(text, function(name, head, lines)
      local family = families[name]
      if not family then
        family = { head }
        families[name], order[#order + 1] = family, family
      end
      family[#family + 1] = lines
    end)
  end
  for i, family in ipairs(order) do order[i] = table.concat(family) end
  return table.concat(order) .. (more or "")
end

local function value_of(metric, one)
  if metric.name == "engine.up" then return one.state == "RUNNING" and 1 or 0 end
  return one.losses
end

--- Returns what the supervisor itself exports of its engines (state.lua). settings: prefix, tags; name: the pipeline's.
function page.of_engines(engines, name, settings)
  local parts = {}
  for _, metric in ipairs(list.engines) do
    local family = names.prometheus_name(settings.prefix, metric.name, metric.kind, metric.unit)
    parts[#parts + 1] = ("# HELP %s %s\n# TYPE %s %s\n"):format(family, metric.help, family, metric.kind)
    for _, one in ipairs(engines) do
      local labels = { { "pipeline", name }, { "engine", one.number } }
      for _, tag in ipairs(settings.tags or {}) do labels[#labels + 1] = { tag.name, tag.value } end
      parts[#parts + 1] = ("%s{%s} %d\n"):format(family, prometheus.labels(labels), value_of(metric, one))
    end
  end
  return table.concat(parts)
end

return page
