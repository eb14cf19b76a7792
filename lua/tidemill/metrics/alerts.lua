-- SPDX-License-Identifier: MIT
-- metrics/alerts.lua: alert rules for Prometheus (`tidemill metrics --format alerts`). Names, help and advice come from
-- the list; here is only when a value is worth a look. spec/flow/alerts_spec.lua has series on which each one fires,
-- and others on which it does not.
local list = require("tidemill.metrics.list")
local names = require("tidemill.metrics.names")

local alerts = {}

local TASK = "strategies.run_task_with_multiprocessing."

-- metric    the name in the list; NAME in expr stands for its name in Prometheus
-- lasts     how long expr has to hold
-- severity  critical: messages do not get on, or may be lost to view; warning: somebody should look; info: tuning
local RULES = {
  { alert = "TidemillNotReady", metric = "ready", lasts = "5m", severity = "critical",
    expr = "max by (pipeline, instance) (NAME) == 0", summary = "does not process messages" },
  { alert = "TidemillRestarts", metric = "start_time", lasts = "0m", severity = "critical",
    expr = "changes(NAME[15m]) > 3", summary = "was restarted more than three times in 15 minutes" },
  { alert = "TidemillStuck", metric = "consumer.stuck", lasts = "0m", severity = "critical",
    expr = "sum by (pipeline, instance) (increase(NAME[10m])) > 0", summary = "makes no progress" },
  { alert = "TidemillLagOld", metric = "consumer.lag.seconds", lasts = "10m", severity = "warning",
    expr = "max by (pipeline, topic) (NAME) > 300", summary = "is more than five minutes behind" },
  { alert = "TidemillLagGrows", metric = "consumer.lag", lasts = "15m", severity = "warning",
    expr = "sum by (pipeline, topic) (NAME) > 1000 and sum by (pipeline, topic) (deriv(NAME[10m])) > 0",
    summary = "falls behind" },
  { alert = "TidemillDeadLetters", metric = "messages.dead_lettered", lasts = "0m", severity = "warning",
    expr = "sum by (pipeline) (increase(NAME[10m])) > 0", summary = "has dead letters" },
  { alert = "TidemillDeadLettersNotTaken", metric = "dlq.failed", lasts = "5m", severity = "critical",
    expr = "sum by (pipeline, instance) (rate(NAME[5m])) > 0", summary = "cannot write its dead letters" },
  { alert = "TidemillDeadLettersWait", metric = "consumer.dlq_buffer.len", lasts = "10m", severity = "warning",
    expr = "sum by (pipeline, instance) (NAME) > 0", summary = "waits for its dead letters to be acknowledged" },
  { alert = "TidemillWorkersLost", metric = TASK .. "worker.lost", lasts = "0m", severity = "warning",
    expr = "sum by (pipeline, instance, step, cause) (increase(NAME[15m])) > 3",
    summary = "loses workers again and again" },
  { alert = "TidemillCommitsFail", metric = "consumer.commit_status", lasts = "5m", severity = "critical",
    expr = 'sum by (pipeline, instance) (rate(NAME{status="error"}[5m])) > 0', of = { status = "error" },
    summary = "cannot commit offsets" },
  { alert = "TidemillMessagesRefused", metric = "producer.produce_status", lasts = "0m", severity = "warning",
    expr = 'sum by (pipeline, instance) (increase(NAME{status="error"}[10m])) > 0', of = { status = "error" },
    summary = "has messages that the brokers refuse" },
  { alert = "TidemillProducerReplaced", metric = "producer.replaced", lasts = "0m", severity = "warning",
    expr = "sum by (pipeline, instance) (increase(NAME[15m])) > 0", summary = "had to replace its producer" },
  { alert = "TidemillRebalances", metric = "consumer.partitions_revoked.count", lasts = "15m", severity = "warning",
    expr = "sum by (pipeline) (increase(NAME[15m])) > 0", summary = "does not come to rest: partitions change hands" },
  { alert = "TidemillTransactionsAborted", metric = "producer.transaction.aborted", lasts = "0m", severity = "warning",
    expr = "sum by (pipeline, instance) (increase(NAME[15m])) > 0", summary = "aborts transactions" },
  { alert = "TidemillRetries", metric = TASK .. "message.retry", lasts = "10m", severity = "warning",
    expr = "sum by (pipeline, step) (rate(NAME[5m])) > 0", summary = "tries messages again all the time" },
  { alert = "TidemillInputOverflow", metric = TASK .. "batch.input.overflow", lasts = "15m", severity = "info",
    expr = "sum by (pipeline, step) (rate(NAME[5m])) > 0",
    summary = "closes batches early, since input blocks are full" },
  { alert = "TidemillOutputOverflow", metric = TASK .. "batch.output.overflow", lasts = "10m", severity = "warning",
    expr = "sum by (pipeline, step) (rate(NAME[5m])) > 0", summary = "runs batches in several rounds" },
  { alert = "TidemillNextStepSlow", metric = TASK .. "blocked.time", lasts = "10m", severity = "info",
    expr = 'max by (pipeline, instance, step) (rate(NAME{cause="next_step"}[5m])) > 0.9', of = { cause = "next_step" },
    summary = "waits for the next step more than nine tenths of the time" },
  { alert = "TidemillWorkersBusy", metric = TASK .. "blocked.time", lasts = "15m", severity = "info",
    expr = 'max by (pipeline, instance, step) (rate(NAME{cause="workers"}[5m])) > 0.9', of = { cause = "workers" },
    summary = "waits for its workers more than nine tenths of the time" },
  { alert = "TidemillEngineBusy", metric = "consumer.time", lasts = "15m", severity = "info",
    expr = 'max by (pipeline, instance) (rate(NAME{spent="busy"}[5m])) > 0.9', of = { spent = "busy" },
    summary = "uses the whole core of its engine" },
  { alert = "TidemillScriptMetricsDropped", metric = "consumer.script_metrics.dropped", lasts = "0m",
    severity = "info", expr = "sum by (pipeline, instance) (increase(NAME[1h])) > 0",
    summary = "has calls of tide.metric that count nothing" },
}

-- The entry of a rule: that with the labels of `of` where a name has several.
local function entry_of(rule)
  local label, value = next(rule.of or {})
  for _, entries in ipairs { list, list.totals } do
    for _, metric in ipairs(entries) do
      local fits = not label or (metric.labels or {})[label] == value
      if metric.name == rule.metric and fits then return metric end
    end
  end
  error("an alert is about a metric that the list does not have: " .. rule.metric)
end

--- The rules: an array of { alert, expr, lasts, severity, summary, description, metric }.
function alerts.rules(prefix)
  local rules = {}
  for i, rule in ipairs(RULES) do
    local metric = entry_of(rule)
    local help = rule.of and metric.help or metric.family or metric.help
    local expr = rule.expr:gsub("NAME", (names.prometheus(metric, prefix):gsub("%%", "%%%%")))
    rules[i] = { alert = rule.alert, lasts = rule.lasts, severity = rule.severity, metric = rule.metric,
      summary = "{{ $labels.pipeline }} " .. rule.summary, expr = expr,
      description = help .. (metric.advice and " What to do: " .. metric.advice or "") }
  end
  return rules
end

-- Text in double quotes is the same in YAML as in JSON for what stands here.
local function quoted(text)
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

--- The rules as the YAML that Prometheus reads.
function alerts.yaml(prefix)
  local lines = { "# Alert rules of tidemill for Prometheus: list this file under rule_files. Made by",
    "# `tidemill metrics --format alerts`.", "groups:", "  - name: tidemill", "    rules:" }
  local function add(text, ...) lines[#lines + 1] = text:format(...) end
  for _, rule in ipairs(alerts.rules(prefix)) do
    add("      - alert: %s", rule.alert)
    add("        expr: %s", quoted(rule.expr))
    add("        for: %s", rule.lasts)
    add("        labels:")
    add("          severity: %s", rule.severity)
    add("        annotations:")
    add("          summary: %s", quoted(rule.summary))
    add("          description: %s", quoted(rule.description))
  end
  return table.concat(lines, "\n") .. "\n"
end

return alerts
