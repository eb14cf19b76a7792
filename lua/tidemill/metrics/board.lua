-- SPDX-License-Identifier: MIT
-- metrics/board.lua: the Grafana board, made from the list as a plain table (`tidemill metrics --format grafana`). Its
-- rows have the order in which a pipeline is tuned: processes, batching, blocks, backpressure; then what is around
-- that. Each metric of the list has its place: what a row does not name is added by the pattern of the row, so a new
-- metric is on the board without a change here.
local list = require("tidemill.metrics.list")
local names = require("tidemill.metrics.names")

local board = {}

local TASK = "strategies.run_task_with_multiprocessing."

-- first: panels of several metrics; takes: patterns of the names whose panels follow in the order of the list.
-- collapsed: a row that is opened when it is needed.
local ROWS = {
  { title = "1. Processes", takes = { "^" .. TASK .. "worker%.", "^" .. TASK .. "pool%.", "^" .. TASK .. "message%.",
      "^consumer%.time$", "^consumer%.cpu%.time$" },
    first = { { title = "Batches in progress and processes",
      help = "Where batches in progress stay below processes, more processes will not make it faster.",
      TASK .. "batches_in_progress", TASK .. "processes" } } },
  { title = "2. Batching", takes = { "^" .. TASK .. "batch%.size%.", "^" .. TASK .. "batch%.close",
      "^" .. TASK .. "batch%.submit", "^" .. TASK .. "batch%.filling", "^" .. TASK .. "output_batch%.",
      "^strategies%.reduce%." } },
  { title = "3. Input and output buffers", takes = { "%.batch%.input%.", "%.batch%.output%.", "_block%.bytes$" },
    first = { { title = "Overflow of input and output blocks",
      help = "First see that there is no input overflow, then that there is no output overflow.",
      TASK .. "batch.input.overflow", TASK .. "batch.output.overflow" } } },
  { title = "4. Backpressure", takes = { "%.backpressure", "blocked%.time$" } },
  { title = "5. Consumer", takes = { "^consumer%.", "^strategies%." }, leaves = "^consumer%.lag", collapsed = true },
  { title = "6. Producer", takes = { "^producer%." }, collapsed = true },
  { title = "7. Dead letter queue", takes = { "^dlq%.", "^consumer%.dlq" }, collapsed = true },
  { title = "8. Lag", takes = { "^consumer%.lag", "^messages%." },
    first = { { title = "Messages per second, by what became of them",
      help = "What is read and not produced from, filtered, dead-lettered or dropped is in flight.",
      "messages.read", "messages.produced", "messages.filtered", "messages.dead_lettered", "messages.dropped" } } },
  { title = "9. State", takes = { "^state%." }, collapsed = true },
  { title = "10. Verdict", takes = { "^verdict", "^ready$", "^start_time$", "^build_info$" } },
}

-- The dlq has a row of its own, though its names begin with consumer.
local LAST_FIRST = { 1, 2, 3, 4, 7, 8, 6, 9, 10, 5 }

local UNITS = { seconds = "s", microseconds = "s", bytes = "bytes" }

-- ---- expressions ----

local SELECTOR = '{pipeline=~"$pipeline",instance=~"$instance"}'

-- The labels by which a metric is shown: its own, and the step or partition.
local function grouping(metric)
  local by = { "pipeline" }
  if metric.row == "step" then by[#by + 1] = "step" end
  if metric.partition then
    by[#by + 1] = "topic"
    by[#by + 1] = "partition"
  end
  for label in pairs(metric.labels or {}) do by[#by + 1] = label end
  if metric.state == "verdict" then by[#by + 1] = "limit" end
  if metric.state == "build_info" then by[#by + 1] = "version" end
  return by
end

local function legend(by, word)
  local parts = {}
  for _, label in ipairs(by) do parts[#parts + 1] = "{{" .. label .. "}}" end
  if word then parts[#parts + 1] = word end
  return table.concat(parts, " ")
end

-- Sizes of blocks and ages are not added up over engines: the largest says more.
local function gauge_function(metric)
  if metric.unit == "seconds" or metric.unit == "share" or metric.unit == "revision"
    or metric.name:find("_block%.bytes$") or metric.state then return "max" end
  return "sum"
end

-- Returns { expr, legend } for each line that shows a metric.
local function lines_of(metric, prefix, word)
  local name, by = names.prometheus(metric, prefix), grouping(metric)
  local kind, over = names.kind(metric, prefix), table.concat(by, ", ")
  if kind == "counter" then
    return { { ("sum by (%s) (rate(%s%s[$__rate_interval]))"):format(over, name, SELECTOR), legend(by, word) } }
  elseif metric.state == "start_time" then
    return { { ("time() - max by (pipeline, instance) (%s%s)"):format(name, SELECTOR), "{{pipeline}} {{instance}}" } }
  elseif kind == "gauge" then
    return { { ("%s by (%s) (%s%s)"):format(gauge_function(metric), over, name, SELECTOR), legend(by, word) } }
  end
  local function rate(suffix, labels)
    return ("sum by (%s) (rate(%s_%s%s[$__rate_interval]))"):format(labels, name, suffix, SELECTOR)
  end
  return {
    { rate("sum", over) .. " / " .. rate("count", over), legend(by, "mean") },
    { ("histogram_quantile(0.99, %s)"):format(rate("bucket", over .. ", le")), legend(by, "p99") },
  }
end

-- ---- panels ----

local DATASOURCE = { type = "prometheus", uid = "${datasource}" }

local function targets_of(lines)
  local targets = {}
  for i, line in ipairs(lines) do
    targets[i] = { refId = string.char(64 + i), datasource = DATASOURCE, expr = line[1], legendFormat = line[2],
      editorMode = "code", range = true }
  end
  return targets
end

local function unit_of(metric)
  if metric.kind == "counter" then return UNITS[metric.unit] == "s" and "none" or "cps" end
  return UNITS[metric.unit] or "short"
end

local function new_panel(title, help, lines, unit)
  return { type = "timeseries", title = title, description = help, datasource = DATASOURCE,
    targets = targets_of(lines),
    fieldConfig = { overrides = {}, defaults = { unit = unit, min = 0,
      custom = { lineWidth = 1, fillOpacity = 5, showPoints = "never" } } },
    options = { legend = { displayMode = "list", placement = "bottom", showLegend = true },
      tooltip = { mode = "multi", sort = "desc" } } }
end

-- A panel for all entries of one name.
local function panel_of(entries, prefix)
  local metric = entries[1]
  local help = metric.family or metric.help
  for _, entry in ipairs(entries) do
    local word = entry.labels and select(2, next(entry.labels))
    if entry.advice then help = help .. "\n\n" .. (word and word .. ": " or "What to do: ") .. entry.advice end
  end
  local title = metric.name:gsub("^" .. TASK:gsub("%p", "%%%0"), "")
  return new_panel(title, help, lines_of(metric, prefix), unit_of(metric))
end

local function by_name(name)
  for _, entries in ipairs { list, list.totals } do
    for _, metric in ipairs(entries) do
      if metric.name == name then return metric end
    end
  end
  error("the board shows a metric that the list does not have: " .. name)
end

local function joint_panel(joint, prefix)
  local lines = {}
  for _, name in ipairs(joint) do
    local metric = by_name(name)
    local line = lines_of(metric, prefix, name:match("([%w_]+%.?[%w_]+)$"))[1]
    lines[#lines + 1] = line
  end
  return new_panel(joint.title, joint.help, lines, unit_of(by_name(joint[1])))
end

local function fits(row, name)
  if row.leaves and name:find(row.leaves) then return false end
  for _, pattern in ipairs(row.takes) do
    if name:find(pattern) then return true end
  end
  return false
end

-- Returns the entries of each row, those of one name together: { [row] = { { entry, ... }, ... } }.
local function distribute()
  local of_row, of_name, joint = {}, {}, {}
  for i, row in ipairs(ROWS) do
    of_row[i] = {}
    for _, panel in ipairs(row.first or {}) do
      for _, name in ipairs(panel) do joint[name] = true end
    end
  end
  local function place(metric)
    if joint[metric.name] then return end
    if of_name[metric.name] then return table.insert(of_name[metric.name], metric) end
    for _, i in ipairs(LAST_FIRST) do
      if fits(ROWS[i], metric.name) then
        of_name[metric.name] = { metric }
        table.insert(of_row[i], of_name[metric.name])
        return
      end
    end
    error("no row of the board takes " .. metric.name)
  end
  for _, entries in ipairs { list, list.totals } do
    for _, metric in ipairs(entries) do place(metric) end
  end
  return of_row
end

local WIDTH, HEIGHT = 8, 8 -- of 24 columns: three panels beside each other

-- Gives panels their places from line `y` on; returns the line below them.
local function lay(panels, y)
  for i, panel in ipairs(panels) do
    panel.gridPos = { x = (i - 1) % 3 * WIDTH, y = y + math.floor((i - 1) / 3) * HEIGHT, w = WIDTH, h = HEIGHT }
  end
  return y + math.ceil(#panels / 3) * HEIGHT
end

local function number(panels, from)
  for i, panel in ipairs(panels) do panel.id = from + i end
  return from + #panels
end

local function variable(name, label, metric)
  return { type = "query", name = name, label = label, datasource = DATASOURCE, refresh = 2, sort = 1, multi = true,
    includeAll = true, allValue = ".*", current = { text = "All", value = "$__all" }, options = {}, hide = 0,
    query = { query = ("label_values(%s, %s)"):format(metric, name), refId = "StandardVariableQuery" },
    definition = ("label_values(%s, %s)"):format(metric, name) }
end

local function templating(prefix)
  local known = names.prometheus(by_name("build_info"), prefix)
  return { list = {
    { type = "datasource", name = "datasource", label = "Prometheus", query = "prometheus", refresh = 1, hide = 0,
      current = {}, options = {}, multi = false, includeAll = false },
    variable("pipeline", "Pipeline", known), variable("instance", "Engine", known),
  } }
end

--- The board as a table; `prefix` as in tide.metrics.
function board.new(prefix)
  local of_row, panels, y, id = distribute(), {}, 0, 0
  for i, row in ipairs(ROWS) do
    local own = {}
    for _, joint in ipairs(row.first or {}) do own[#own + 1] = joint_panel(joint, prefix) end
    for _, entries in ipairs(of_row[i]) do own[#own + 1] = panel_of(entries, prefix) end
    local head = { type = "row", title = row.title, collapsed = row.collapsed or false, panels = {},
      gridPos = { x = 0, y = y, w = 24, h = 1 }, id = id + 1 }
    id = number(own, id + 1)
    panels[#panels + 1] = head
    local below = lay(own, y + 1)
    if row.collapsed then head.panels = own else for _, panel in ipairs(own) do panels[#panels + 1] = panel end end
    y = row.collapsed and y + 1 or below
  end
  return { title = "tidemill", uid = "tidemill-" .. prefix:gsub("%W", "-"), tags = { "tidemill" }, schemaVersion = 37,
    version = 1, editable = true, graphTooltip = 1, refresh = "10s", time = { from = "now-1h", to = "now" },
    timezone = "browser", panels = panels, templating = templating(prefix), annotations = { list = {} }, links = {} }
end

--- Members of the board that are lists also when they are empty, for cli/json.lua.
board.LISTS = { panels = true, overrides = true, options = true, list = true, links = true }

return board
