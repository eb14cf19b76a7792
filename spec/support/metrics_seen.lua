-- SPDX-License-Identifier: MIT
-- Which metrics of the list were more than 0 in some pipeline, and where each has to be.
local list = require "tidemill.metrics.list"

local seen = {}
local methods = {}
local metatable = { __index = methods }

-- What needs a broker, provoked in spec/kafka/metrics_spec.lua; all others are in spec/flow/metrics_spec.lua.
local BROKER = {
  "consumer.librdkafka.total_queue_size", "producer.produce_status{status=ok}", "producer.produce_status{status=error}",
  "producer.callback_latency", "producer.librdkafka.message_count", "producer.librdkafka.message_size",
  "producer.librdkafka.broker_rtt", "producer.librdkafka.broker_outbuf_latency", "dlq.truncated",
  "producer.librdkafka.p99_outbuf_latency", "producer.librdkafka.p99_rtt",
  "producer.librdkafka.message_count_max", "producer.librdkafka.message_size_max",
  "producer.transaction.time", "producer.transaction.hold.time",
}

-- What no run brings about at will: the spec of the module that counts it names its constant.
local ELSEWHERE = {
  ["strategies.run_task_with_multiprocessing.pool.resize"] = "spec/flow/sizes_spec.lua", -- a change from outside
  ["consumer.commit_status{status=error}"] = "spec/unit/chain/commit_spec.lua", -- a coordinator that refuses
  ["consumer.refetched"] = "spec/kafka/pause_spec.lua", -- a planted mistake
  ["producer.transaction.aborted"] = "spec/kafka/exactly_once_spec.lua", -- an outage in a transaction
  ["producer.replaced"] = "spec/kafka/transactions_spec.lua", -- a producer that fails for good
  ["producer.librdkafka.p99_int_latency"] = "spec/unit/kafka/sink/stats_spec.lua", -- messages that have a timeout
  ["producer.librdkafka.broker_txretries"] = "spec/unit/kafka/sink/stats_spec.lua", -- requests other than Produce
}

-- A worker or a zygote that attacks the engine.
for _, kind in ipairs { "message", "progress", "memory" } do
  ELSEWHERE[("strategies.run_task_with_multiprocessing.worker.violation{kind=%s}"):format(kind)] =
    "spec/flow/liar_spec.lua"
end
ELSEWHERE["consumer.zygote.violation"] = "spec/flow/liar_race_spec.lua"
for _, name in ipairs { "timers", "waiting_timers", "ahead", "watermark_lag" } do
  ELSEWHERE["strategies.keyed." .. name] = "spec/flow/timers_spec.lua"
end
for _, name in ipairs { "read", "error", "time", "rows", "bytes" } do
  ELSEWHERE["consumer.lookup." .. name] = "spec/flow/lookup_spec.lua"
end

for _, name in ipairs { "read", "invalid", "time", "rows", "bytes", "lag" } do
  ELSEWHERE["consumer.table." .. name] = "spec/kafka/table_spec.lua"
end
ELSEWHERE["consumer.reload.count"] = "spec/kafka/reload_spec.lua"
for _, name in ipairs { "restored", "restore.time" } do ELSEWHERE["state." .. name] = "spec/kafka/state_spec.lua" end
ELSEWHERE["consumer.reload.error"] = "spec/flow/reload_spec.lua"
for _, name in ipairs { "share", "compared", "differing", "rejected" } do
  ELSEWHERE["consumer.canary." .. name] = "spec/flow/canary_spec.lua"
end
ELSEWHERE["consumer.reload.rolled_back"] = "spec/flow/reload_back_spec.lua"

local place = {}
for _, name in ipairs(BROKER) do place[name] = "kafka" end
for name in pairs(ELSEWHERE) do place[name] = "elsewhere" end

function seen.new()
  return setmetatable({ names = {} }, metatable)
end

local function more_than_0(value)
  return (type(value) == "table" and (value.max or value.last) or value) > 0
end

--- metrics: as in a report.
function methods:add(metrics)
  for name, value in pairs(metrics) do
    if not name:find("step=", 1, true) and more_than_0(value) then self.names[name] = true end
  end
end

local function names_it(path, metric)
  local file = io.open(path)
  local text = file and file:read "*a" or ""
  if file then file:close() end
  for _, name in ipairs { metric.name, metric.counter:match "^TIDE_M_(.*)", metric.counter:match "PRODUCER_(.*)" } do
    if text:find(name, 1, true) then return true end
  end
  return false
end

--- Names whose spec, by the list above, does not name them.
function seen.not_elsewhere()
  local missing = {}
  for _, metric in ipairs(list) do
    local path = ELSEWHERE[list.full_name(metric)]
    if path and not names_it(path, metric) then missing[#missing + 1] = list.full_name(metric) end
  end
  return missing
end

--- Names that were 0 all the time, of those that have to be more in `where` ("flow" or "kafka").
function methods:missing(where)
  local missing = {}
  for _, metric in ipairs(list) do
    local name = list.full_name(metric)
    if (place[name] or "flow") == where and not self.names[name] then missing[#missing + 1] = name end
  end
  return missing
end

return seen
