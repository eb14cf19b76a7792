-- SPDX-License-Identifier: MIT
-- The Grafana board against what Grafana wants of one, and against what the exporter really writes.
local board = require "tidemill.metrics.board"
local cjson = require "cjson"
local exposition = require "spec.support.exposition"
local json = require "tidemill.cli.json"
local list = require "tidemill.metrics.list"
local names = require "tidemill.metrics.names"
local prometheus = require "tidemill.metrics.prometheus"
local testing = require "tidemill.testing"
local tide = require "tidemill"

-- What Grafana reads of a board (schema version 37): the type of each member; a table is that of an object's members,
-- one with a single item that of a list's items; "?" behind a name: it may be missing.
local DATASOURCE = { type = "string", uid = "string" }
local TARGET = { refId = "string", expr = "string", datasource = DATASOURCE, legendFormat = "string" }
local GRID = { x = "number", y = "number", w = "number", h = "number" }
local PANEL = { id = "number", type = "string", title = "string", ["description?"] = "string", gridPos = GRID,
  ["datasource?"] = DATASOURCE, ["targets?"] = { TARGET }, ["options?"] = "table", ["collapsed?"] = "boolean",
  ["fieldConfig?"] = { defaults = { unit = "string" }, overrides = {} }, ["panels?"] = { "table" } }
local VARIABLE = { type = "string", name = "string", label = "string" }
local BOARD = { title = "string", uid = "string", tags = { "string" }, schemaVersion = "number", version = "number",
  editable = "boolean", refresh = "string", timezone = "string", graphTooltip = "number",
  time = { from = "string", to = "string" }, panels = { PANEL }, links = {}, annotations = { list = {} },
  templating = { list = { VARIABLE } } }

-- Faults of a value that was read from JSON.
local function judge(schema, value, path, faults)
  if type(schema) == "string" then
    if type(value) ~= schema then faults[#faults + 1] = path .. " is no " .. schema end
  elseif type(value) ~= "table" then
    faults[#faults + 1] = path .. " is " .. type(value)
  elseif schema[1] then
    for i, item in ipairs(value) do judge(schema[1], item, path .. "[" .. i .. "]", faults) end
  else
    for name, member in pairs(schema) do
      local bare = name:gsub("%?$", "")
      if value[bare] ~= nil or bare == name then judge(member, value[bare], path .. "." .. bare, faults) end
    end
  end
  return faults
end

local function read(prefix)
  local text = json.encode(board.new(prefix), board.LISTS)
  return cjson.decode(text), text
end

-- All panels, those of collapsed rows included, and the rows by their titles in order.
local function panels_of(made)
  local panels, rows = {}, {}
  for _, panel in ipairs(made.panels) do
    if panel.type == "row" then rows[#rows + 1] = panel.title else panels[#panels + 1] = panel end
    for _, inner in ipairs(panel.panels or {}) do panels[#panels + 1] = inner end
  end
  return panels, rows
end

-- The names of metrics in an expression: each stands before its labels.
local function each_name(made, call)
  for _, panel in ipairs((panels_of(made))) do
    for _, target in ipairs(panel.targets) do
      for name in target.expr:gmatch "([%a_][%w_]*){" do call(name, panel) end
    end
  end
end

describe("the Grafana board", function()
  it("the Grafana board has what Grafana reads of a board", function()
    local made, text = read "tidemill"
    assert.same({}, judge(BOARD, made, "board", {}))
    for _, empty in ipairs { '"overrides": []', '"links": []', '"list": []' } do
      assert.is_truthy(text:find(empty, 1, true), empty)
    end
    local seen, places = {}, {}
    for _, panel in ipairs(made.panels) do
      assert.is_nil(places[panel.gridPos.x .. "/" .. panel.gridPos.y])
      places[panel.gridPos.x .. "/" .. panel.gridPos.y] = true
      for _, one in ipairs { panel, unpack(panel.panels or {}) } do
        assert.is_nil(seen[one.id])
        seen[one.id] = true
        assert.is_true(one.gridPos.x + one.gridPos.w <= 24)
      end
    end
  end)

  it("the Grafana board that lacks something is found by this check", function()
    local made = read "tidemill"
    made.schemaVersion, made.panels[2].targets[1].expr, made.templating.list[1].name = nil, nil, 7
    assert.equal(3, #judge(BOARD, made, "board", {}))
  end)

  it("the Grafana board has its rows in the order in which a pipeline is tuned", function()
    local _, rows = panels_of((read "tidemill"))
    assert.same({ "1. Processes", "2. Batching", "3. Input and output buffers", "4. Backpressure", "5. Consumer",
      "6. Producer", "7. Dead letter queue", "8. Lag", "9. State", "10. Verdict" }, rows)
  end)

  it("the Grafana board shows every metric of the list, with what to do", function()
    local made, shown, texts = read "tidemill", {}, {}
    each_name(made, function(name) shown[name:gsub("_bucket$", ""):gsub("_sum$", ""):gsub("_count$", "")] = true end)
    for _, panel in ipairs((panels_of(made))) do texts[#texts + 1] = panel.description end
    local all = table.concat(texts, "\n")
    for _, entries in ipairs { list, list.totals } do
      for _, metric in ipairs(entries) do
        assert.is_true(shown[names.prometheus(metric, "tidemill")], metric.name)
      end
    end
    assert.is_truthy(all:find("What to do: Flat: batches reach max_batch_size", 1, true))
  end)

  for _, prefix in ipairs { "tidemill", "arroyo" } do
    it("the Grafana board uses no name that the exporter does not write, with the prefix " .. prefix, function()
      local test = testing.steps { tide.run_task_with_multiprocessing { function(m) return m end, processes = 1 } }
      local text = prometheus.new(test.engine, test.plan, { prefix = prefix }):text { totals = test:totals(),
        partitions = { { topic = "in", partition = 0, lag = 1, lag_seconds = 1 } }, metrics = {}, time = 0, uptime = 0 }
      testing.close()
      local written = {}
      for _, sample in ipairs(exposition.parse(text).samples) do written[sample.name] = true end
      local count = 0
      each_name((read(prefix)), function(name, panel)
        count = count + 1
        assert.is_true(written[name], panel.title .. ": " .. name)
      end)
      assert.is_true(count > 80)
    end)
  end
end)
