-- SPDX-License-Identifier: MIT
-- A real Prometheus scrapes two engines of one pipeline: what its query API adds up is what their reports say, it takes
-- each expression of the board, and it loads the alert rules.
local alerts = require "tidemill.metrics.alerts"
local board = require "tidemill.metrics.board"
local cjson = require "cjson"
local http = require "spec.support.http"
local installed = require "spec.support.installed"
local list = require "tidemill.metrics.list"
local names = require "tidemill.metrics.names"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local program = require "spec.support.program"
local wait = require "spec.support.wait"

-- Two steps that share a pool, so that a sum which takes the pool twice is seen.
local PIPELINE = [[
local tide = require "tidemill"
local pool = tide.pool { processes = 2 }
return tide.pipeline "scraped" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { pool = pool, max_batch_size = 7, function(message)
    tide.metric.count("orders.late", 2)
    return message
  end },
  tide.run_task_with_multiprocessing { pool = pool, function(message)
    return message.value ~= "3" and message or nil
  end },
  tide.file_sink { path = "-" },
}
]]

local CONFIG = [[
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: [ alerts.yml ]
scrape_configs:
  - job_name: tidemill
    static_configs: [ { targets: [ %s ] } ]
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- The port at which a process listens. Prometheus takes any that is free, and cannot be asked which one that is.
local function port_of(pid)
  local sockets = {}
  local pipe = assert(io.popen(("ls -l /proc/%d/fd"):format(pid)))
  for line in pipe:lines() do sockets[line:match "socket:%[(%d+)%]" or ""] = true end
  pipe:close()
  for line in io.lines "/proc/net/tcp" do
    local port, inode = line:match "^%s*%d+: 0100007F:(%x+) 00000000:0000 0A %S+ %S+ %S+%s+%d+%s+%d+ (%d+) "
    if inode and sockets[inode] then return tonumber(port, 16) end
  end
end

describe("a real Prometheus", function()
  local folder, path, engines, port, scraper

  -- A run that reads a named pipe, which stays open.
  local function start_engine(name)
    local at = folder .. "/" .. name
    assert(os.execute(("mkfifo %s.in"):format(at)) == 0)
    local one = { pipe = assert(io.open(at .. ".in", "r+")), report = at .. ".report" }
    one.process = process.start { program.path, "run", path, "--metrics-addr", "127.0.0.1:0", "--input", at .. ".in",
      "--output", "/dev/null", "--report", one.report }
    wait.watch(one.process)
    one.address = wait.until_true(function() return one.process:stderr():match "HTTP on http://([%w.:]+)/" end)
    engines[#engines + 1] = one
    return one
  end

  local function start_prometheus()
    local targets = {}
    for i, one in ipairs(engines) do targets[i] = '"' .. one.address .. '"' end
    write(folder .. "/prometheus.yml", CONFIG:format(table.concat(targets, ", ")))
    write(folder .. "/alerts.yml", alerts.yaml "tidemill")
    scraper = process.start({ installed.prometheus(), "--config.file=" .. folder .. "/prometheus.yml",
      "--storage.tsdb.path=" .. folder .. "/data", "--web.listen-address=127.0.0.1:0" }, { cwd = folder })
    wait.watch(scraper)
    wait.until_true(function() return scraper:stderr():find "Server is ready" end)
    port = assert(port_of(scraper:pid()), "it listens nowhere")
  end

  local function feed(one, from, to)
    for i = from, to do one.pipe:write(i, "\n") end
    one.pipe:flush()
  end

  local function api(of)
    return cjson.decode(http.get(port, "/api/v1/" .. of, { Connection = "close" }).body)
  end

  local function encoded(text)
    return (text:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end))
  end

  -- The value of an expression that has one; nil while it has none.
  local function query(expression)
    local answer = api("query?query=" .. encoded(expression))
    assert(answer.status == "success", expression .. ": " .. tostring(answer.error))
    local first = answer.data.result[1]
    return first and tonumber(first.value[2])
  end

  -- By the last sample of each engine: on a busy machine a scrape may fail, and then there is none of the present.
  local function sum(name) return query(('sum(last_over_time(%s{pipeline="scraped"}[5m]))'):format(name)) end

  -- Ends a run by the end of its input, as TERM would, and returns its report.
  local function end_engine(one)
    wait.unwatch(one.process)
    one.process:signal "TERM"
    one.pipe:close()
    one.pipe = nil
    assert.equal(0, one.process:wait(), one.process:stderr())
    local file = assert(io.open(one.report))
    local report = cjson.decode(file:read "*a")
    file:close()
    return report
  end

  setup(function()
    engines = {}
    path, folder = pipeline_file.write(PIPELINE)
    feed(start_engine "a", 1, 300)
    feed(start_engine "b", 1, 500)
    start_prometheus()
    wait.until_true(function() return sum "tidemill_messages_filtered_total" == 2
      and sum "tidemill_messages_produced_total" == 798 end, "all messages to be seen by Prometheus")
  end)

  teardown(function()
    for _, one in ipairs(engines) do if one.pipe then one.pipe:close() end end
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("a real Prometheus takes every expression of the board", function()
    local function each(panels, call)
      for _, panel in ipairs(panels) do
        for _, target in ipairs(panel.targets or {}) do call(target.expr) end
        each(panel.panels or {}, call)
      end
    end
    local count = 0
    each(board.new("tidemill").panels, function(expression)
      count = count + 1
      query((expression:gsub("%$__rate_interval", "1m"):gsub("%$pipeline", ".*"):gsub("%$instance", ".*")))
    end)
    assert.is_true(count > 80)
    -- Also when the scrape of just now has failed, which makes the values of the moment stale.
    assert.equal(2, query 'count(last_over_time(tidemill_build_info{pipeline="scraped"}[5m]))')
  end)

  it("a real Prometheus loads the alert rules, and none of them fails", function()
    local rules = wait.until_true(function()
      local group = api("rules").data.groups[1]
      for _, rule in ipairs(group and group.rules or {}) do
        if rule.health == "unknown" then return nil end
      end
      return group and group.rules
    end)
    assert.equal(#alerts.rules "tidemill", #rules)
    for _, rule in ipairs(rules) do assert.equal("ok", rule.health, rule.name) end
  end)

  it("a real Prometheus adds up two engines to what their reports say, each metric of the steps", function()
    local function near(a, b) return math.abs(a - b) <= 1e-6 + 1e-9 * math.abs(b) end
    local seen = { script = sum "tidemill_script_orders_late_total", read = sum "tidemill_messages_read_total" }
    for _, metric in ipairs(list) do
      local label, value = next(metric.labels or {})
      local name, labels = names.prometheus(metric, "tidemill"), label and (',%s="%s"'):format(label, value) or ""
      if metric.row == "step" and metric.kind ~= "gauge" then
        for _, part in ipairs(metric.kind == "histogram" and { "_count", "_sum" } or { "" }) do
          seen[list.full_name(metric) .. part] = query(('sum(last_over_time(%s%s{pipeline="scraped"%s}[5m]))')
            :format(name, part, labels))
        end
      end
    end
    seen.processes = sum "tidemill_strategies_run_task_with_multiprocessing_processes"
    local said, faults, count = { end_engine(engines[1]), end_engine(engines[2]) }, {}, 0
    local function stated(name, of) return of(said[1], name) + of(said[2], name) end
    for _, metric in ipairs(list) do
      local name = list.full_name(metric)
      for _, part in ipairs(metric.row == "step" and metric.kind == "histogram" and { "count", "sum" }
        or metric.row == "step" and metric.kind == "counter" and { "" } or {}) do
        local all = stated(name, function(report)
          local value = report.metrics[name]
          return part == "" and value * names.factor(metric) or value[part]
        end)
        local got = seen[name .. (part == "" and "" or "_" .. part)]
        count = count + 1
        if not (got and near(got, all)) then faults[#faults + 1] = ("%s %s: %s, %s"):format(name, part, got, all) end
      end
    end
    assert.same({}, faults)
    assert.is_true(count > 40)
    assert.equal(1600, seen.script)
    assert.equal(stated("read", function(report, name) return report[name] end), seen.read)
    assert.equal(4, seen.processes) -- two of each engine, though two steps have them
  end)
end)
