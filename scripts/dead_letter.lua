-- SPDX-License-Identifier: MIT
-- Reject bad messages.
-- A payment without a positive amount becomes a dead letter with the reason. The others go on.
--   tidemill run scripts/dead_letter.lua --input scripts/samples/payments.jsonl
local tide = require "tidemill"

local function check(message)
  if message.value == nil then return message end -- null: the key is deleted
  local payment = message.json -- raises an error if it is not JSON; that rejects too
  if tide.json.type(payment) ~= "object" then return tide.reject "not a JSON object" end
  if type(payment.amount) ~= "number" then return tide.reject "amount is not a number" end
  if payment.amount <= 0 then return tide.reject("amount is " .. payment.amount) end
  return message
end

return tide.pipeline "dead-letter" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "payments", group = "dead-letter",
    start = "earliest" },
  tide.run_task_with_multiprocessing { check, processes = tide.param("processes", 2) },
  tide.produce { topic = "payments.good" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "payments.dlq" },
}
