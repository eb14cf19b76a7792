-- SPDX-License-Identifier: MIT
-- Sends bad messages to the dead letters, with the reason, and goes on with the others.
--   tidemill run scripts/dead_letter.lua --input payments.txt
local tide = require "tidemill"

local function check(message)
  local payment = message.json -- no JSON: an error, which rejects the message too
  if type(payment.amount) ~= "number" then return tide.reject "amount is no number" end
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
