-- SPDX-License-Identifier: MIT
-- cli/dashboard.lua: publishes the pages of a running pipeline: the dashboard at /, the tuning steps at /tuning, and
-- what they load. The files are in lua/tidemill/dashboard; they ask for /status themselves. /history has the last ten
-- minutes for a page that is opened later: a snapshot every five seconds, without what charts do not show. Each is made
-- to JSON once, so that publishing them costs a concatenation.
local json = require("tidemill.cli.json")
local list = require("tidemill.metrics.list")
local text_file = require("tidemill.plan.text_file")

local dashboard = {}
dashboard.__index = dashboard

local EVERY, SPAN = 5000, 600000 -- milliseconds from one kept snapshot to the next; for how long they are kept
local SCRIPT = "text/javascript; charset=utf-8"

--- Debian's libjs-chart.js, where `make dist` has not put it beside the pages. Without it the dashboard has no charts,
--- and says so.
dashboard.CHARTS = "/usr/share/javascript/chart.js/chart.min.js"

local FILES = {
  { "/", "index.html", "text/html; charset=utf-8" }, { "/tuning", "tuning.html", "text/html; charset=utf-8" },
  { "/dashboard.css", "dashboard.css", "text/css; charset=utf-8" }, { "/dashboard.js", "dashboard.js", SCRIPT },
  { "/dom.js", "dom.js", SCRIPT }, { "/charts.js", "charts.js", SCRIPT },
}

-- The metrics by which the tuning page judges, in its order.
local TASK = "strategies.run_task_with_multiprocessing."
local TUNING = {}
for i, name in ipairs { "batches_in_progress", "processes", "batch.size.msg", "batch.size.bytes",
  "batch.input.overflow", "batch.output.overflow", "batch.backpressure" } do
  TUNING[TASK .. name] = i
end

local function folder()
  return debug.getinfo(1, "S").source:match("^@(.*)cli/dashboard%.lua$") .. "dashboard/"
end

-- What is shown of each metric beside its value.
local function metric_list()
  local metrics = {}
  for i, metric in ipairs(list) do
    metrics[i] = { full_name = list.full_name(metric), kind = metric.kind, unit = metric.unit, help = metric.help,
      advice = metric.advice, tuning = TUNING[metric.name] }
  end
  table.sort(metrics, function(a, b)
    if (a.tuning or 100) ~= (b.tuning or 100) then return (a.tuning or 100) < (b.tuning or 100) end
    return a.full_name < b.full_name
  end)
  return json.line({ list = metrics }, { list = true })
end

--- Returns the part of the observer; nil without HTTP, and for one engine of several, whose supervisor has the pages.
function dashboard.new(observer)
  if not observer.server or (observer.settings or {}).engine then return nil end
  local self = setmetatable({ observer = observer, kept = {}, times = {} }, dashboard)
  for _, file in ipairs(FILES) do
    local text = text_file.read(folder() .. file[2])
    if not text then return nil, folder() .. file[2] .. " cannot be read; is the installation complete?", 70 end
    observer:publish(file[1], file[3], text)
  end
  observer:publish("/chart.js", SCRIPT, text_file.read(folder() .. "chart.min.js") or text_file.read(dashboard.CHARTS)
    or "// " .. dashboard.CHARTS .. " is not installed\n")
  observer:publish("/metrics.json", "application/json", metric_list())
  self:publish_history()
  return self
end

function dashboard:publish_history()
  self.observer:publish("/history", "application/json", '{"list":[' .. table.concat(self.kept, ",") .. "]}\n")
end

-- What charts show of a snapshot.
local function reduced(snapshot)
  local steps = {}
  for i, step in ipairs(snapshot.steps) do
    steps[i] = { closes = step.closes, sizes = step.sizes, processes = step.processes,
      batches_in_progress = step.batches_in_progress }
  end
  return { time = snapshot.time, rates = snapshot.rates, steps = steps,
    totals = { lag = snapshot.totals.lag, lag_seconds = snapshot.totals.lag_seconds } }
end

-- A snapshot may come a little early, or seconds late.
function dashboard:second(snapshot)
  local times, kept = self.times, self.kept
  if times[#times] and snapshot.time < times[#times] + EVERY - 500 then return end
  times[#times + 1], kept[#kept + 1] = snapshot.time, json.line(reduced(snapshot), { steps = true })
  while times[1] <= snapshot.time - SPAN do
    table.remove(times, 1)
    table.remove(kept, 1)
  end
  self:publish_history()
end

return dashboard
