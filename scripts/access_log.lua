-- SPDX-License-Identifier: MIT
-- Turn an access log into JSON.
-- Each line of Apache's or nginx's combined format becomes a JSON object. A line in any other format becomes a dead
-- letter.
--   tidemill run scripts/access_log.lua --input scripts/samples/access.log
local tide = require "tidemill"

local function to_json(message)
  local entry = tide.grok.match(message.value or "", "^%{COMBINEDAPACHELOG}\\s*$")
  if not entry then return tide.reject "not a line of an access log" end
  local moment, reason = tide.time.strptime(entry.timestamp, "%d/%b/%Y:%H:%M:%S %z")
  if not moment then return tide.reject(reason) end
  return { json = { time = tide.time.format(moment), client = entry.clientip, verb = entry.verb, path = entry.request,
    status = tonumber(entry.response), bytes = tonumber(entry.bytes or 0), agent = entry.agent:sub(2, -2) } }
end

return tide.pipeline "access-log" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "access", group = "access-log",
    start = "earliest" },
  tide.run_task_with_multiprocessing { to_json, processes = tide.param("processes", 2) },
  tide.produce { topic = "access.json" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "access.dlq" },
}
