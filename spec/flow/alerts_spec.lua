-- SPDX-License-Identifier: MIT
-- The alert rules, in Prometheus's own tester: for each one series on which it fires, and others on which it does not.
local alerts = require "tidemill.metrics.alerts"
local installed = require "spec.support.installed"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local TASK = "tidemill_strategies_run_task_with_multiprocessing_"
local AT = "30m" -- when a rule is looked at; each series has a value a minute, from 0 on

-- fires and quiet: { series = values } as promtool writes them; labels: those of the alert beside pipeline and
-- severity. Values: "0+5x40" begins with 0 and grows by 5, forty times.
local function engine(name, labels) return name .. '{pipeline="p",instance="a"' .. (labels or "") .. "}" end

local function counted(name, labels, series_labels)
  return { labels = labels, fires = { [engine(name, series_labels)] = "0+5x40" },
    quiet = { [engine(name, series_labels)] = "7+0x40" } }
end

local INSTANCE = { instance = "a" }

local CASES = {
  TidemillNotReady = { labels = INSTANCE, fires = { [engine "tidemill_ready"] = "1x10 0x30" },
    quiet = { [engine "tidemill_ready"] = "1x26 0x14" } },
  TidemillRestarts = { labels = INSTANCE, fires = { [engine "tidemill_start_time_seconds"] = "1000x17 1001+60x20" },
    quiet = { [engine "tidemill_start_time_seconds"] = "1000x20 2000x20" } },
  TidemillStuck = { labels = INSTANCE, fires = { [engine "tidemill_consumer_stuck_total"] = "0x25 1x15" },
    quiet = { [engine "tidemill_consumer_stuck_total"] = "0x5 1x35" } },
  TidemillLagOld = { labels = { topic = "in" },
    fires = { [engine("tidemill_consumer_lag_seconds", ',topic="in",partition="0"')] = "400x40",
      [engine("tidemill_consumer_lag_seconds", ',topic="in",partition="1"')] = "0x40" },
    quiet = { [engine("tidemill_consumer_lag_seconds", ',topic="in",partition="0"')] = "0x25 400x15" } },
  TidemillLagGrows = { labels = { topic = "in" },
    fires = { [engine("tidemill_consumer_lag", ',topic="in",partition="0"')] = "2000+100x40",
      ['tidemill_consumer_lag{pipeline="p",instance="b",topic="in",partition="1"}'] = "0x40" },
    quiet = { [engine("tidemill_consumer_lag", ',topic="in",partition="0"')] = "9000-100x40",
      ['tidemill_consumer_lag{pipeline="p",instance="b",topic="in",partition="1"}'] = "10+1x40" } },
  TidemillDeadLetters = counted("tidemill_messages_dead_lettered_total", {}),
  TidemillDeadLettersNotTaken = counted("tidemill_dlq_failed_total", INSTANCE),
  TidemillDeadLettersWait = { labels = INSTANCE, fires = { [engine "tidemill_consumer_dlq_buffer_len"] = "3x40" },
    quiet = { [engine "tidemill_consumer_dlq_buffer_len"] = "3x5 0x5 3x5 0x5 3x2 0x20" } },
  TidemillWorkersLost = { labels = { instance = "a", step = "1", cause = "exit" },
    fires = { [engine(TASK .. "worker_lost_total", ',step="1",cause="exit"')] = "0+1x40" },
    quiet = { [engine(TASK .. "worker_lost_total", ',step="1",cause="exit"')] = "0x20 2x20" } },
  TidemillCommitsFail = counted("tidemill_consumer_commit_status_total", INSTANCE, ',status="error"'),
  TidemillMessagesRefused = counted("tidemill_producer_produce_status_total", INSTANCE, ',status="error"'),
  TidemillProducerReplaced = counted("tidemill_producer_replaced_total", INSTANCE),
  TidemillRebalances = counted("tidemill_consumer_partitions_revoked_total", {}),
  TidemillTransactionsAborted = counted("tidemill_producer_transaction_aborted_total", INSTANCE),
  TidemillRetries = counted(TASK .. "message_retry_total", { step = "1" }, ',step="1"'),
  TidemillInputOverflow = counted(TASK .. "batch_input_overflow_total", { step = "1" }, ',step="1"'),
  TidemillOutputOverflow = counted(TASK .. "batch_output_overflow_total", { step = "2" }, ',step="2"'),
  TidemillNextStepSlow = { labels = { instance = "a", step = "1" },
    fires = { [engine(TASK .. "blocked_time_seconds_total", ',step="1",cause="next_step"')] = "0+58x40" },
    quiet = { [engine(TASK .. "blocked_time_seconds_total", ',step="1",cause="next_step"')] = "0+30x40",
      [engine(TASK .. "blocked_time_seconds_total", ',step="1",cause="workers"')] = "0+20x40" } },
  TidemillWorkersBusy = { labels = { instance = "a", step = "1" },
    fires = { [engine(TASK .. "blocked_time_seconds_total", ',step="1",cause="workers"')] = "0+58x40" },
    quiet = { [engine(TASK .. "blocked_time_seconds_total", ',step="1",cause="next_step"')] = "0+58x40" } },
  TidemillEngineBusy = { labels = INSTANCE,
    fires = { [engine("tidemill_consumer_time_seconds_total", ',spent="busy"')] = "0+59x40" },
    quiet = { [engine("tidemill_consumer_time_seconds_total", ',spent="waiting_for_source"')] = "0+59x40" } },
  TidemillScriptMetricsDropped = counted("tidemill_consumer_script_metrics_dropped_total", INSTANCE),
}

local function quoted(text) return "'" .. text:gsub("'", "''") .. "'" end

-- The series by which an alert is tested at once: those of pipeline p, and those of another one, q.
local function both(case)
  local all = {}
  for name, values in pairs(case.fires) do all[name] = values end
  for name, values in pairs(case.quiet) do all[name:gsub('pipeline="p"', 'pipeline="q"')] = values end
  return all
end

-- One test of promtool: that the alert fires for pipeline p at these series, and for no other.
local function test_of(rule, case, series)
  local lines = { "  - interval: 1m", "    input_series:" }
  local function add(text, ...) lines[#lines + 1] = text:format(...) end
  for name, values in pairs(series) do
    add("      - series: %s", quoted(name))
    add("        values: %s", quoted(values))
  end
  add("    alert_rule_test:")
  add("      - eval_time: %s", AT)
  add("        alertname: %s", rule.alert)
  add("        exp_alerts:")
  add("          - exp_labels: { severity: %s, pipeline: p%s }", rule.severity, (function()
    local text = ""
    for name, value in pairs(case.labels) do text = text .. (', %s: "%s"'):format(name, value) end
    return text
  end)())
  add("            exp_annotations:")
  add("              summary: %s", quoted((rule.summary:gsub("{{ $labels.pipeline }}", "p"))))
  add("              description: %s", quoted(rule.description))
  return table.concat(lines, "\n")
end

describe("the alert rules", function()
  local folder

  before_each(function()
    folder = pipeline_file.folder()
    local file = assert(io.open(folder .. "/alerts.yml", "w"))
    file:write(alerts.yaml "tidemill")
    file:close()
  end)

  after_each(pipeline_file.remove_all)

  local function promtool(...)
    local code, out, err = process.run({ installed.promtool(), ... }, { cwd = folder })
    return code, out .. err
  end

  -- Runs these tests of promtool; the text is what it says.
  local function run(tests)
    local file = assert(io.open(folder .. "/tests.yml", "w"))
    file:write("rule_files: [ alerts.yml ]\nevaluation_interval: 1m\ntests:\n", table.concat(tests, "\n"), "\n")
    file:close()
    return promtool("test", "rules", "tests.yml")
  end

  it("the alert rules are right for Prometheus, with Arroyo's names too", function()
    assert.equal(0, (promtool("check", "rules", "alerts.yml")))
    local file = assert(io.open(folder .. "/arroyo.yml", "w"))
    file:write(alerts.yaml "arroyo")
    file:close()
    assert.equal(0, (promtool("check", "rules", "arroyo.yml")))
  end)

  it("the alert rules fire at what they are for, and at nothing less", function()
    local tests = {}
    for _, rule in ipairs(alerts.rules "tidemill") do
      local case = assert(CASES[rule.alert], rule.alert)
      tests[#tests + 1] = test_of(rule, case, both(case))
    end
    local code, said = run(tests)
    assert.equal(0, code, said)
  end)

  it("the alert rules that do not fire where they should are found by these tests", function()
    local tests, rules = {}, alerts.rules "tidemill"
    for i = 1, 4 do tests[i] = test_of(rules[i], CASES[rules[i].alert], CASES[rules[i].alert].quiet) end
    local code, said = run(tests)
    assert.equal(1, code)
    assert.equal(4, select(2, said:gsub("alertname:", "")), said)
  end)
end)
