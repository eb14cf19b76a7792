-- SPDX-License-Identifier: MIT
-- Redact texts.
-- Card numbers and mail addresses are replaced, by regular expressions.
--   tidemill run scripts/redact.lua --input scripts/samples/mails.txt
local tide = require "tidemill"

local function redact(message)
  if message.value == nil then return message end -- null: the key is deleted
  local text = tide.regex.gsub(message.value, [[\b(?:\d[ -]?){12,15}(\d{4})\b]], "****$1")
  return (tide.regex.gsub(text, [[[\w.+-]+@[\w-]+\.[\w.]+]], "[mail]"))
end

return tide.pipeline "redact" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "mails", group = "redact",
    start = "earliest" },
  tide.run_task_with_multiprocessing { redact, processes = tide.param("processes", 2) },
  tide.produce { topic = "mails.clean" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "mails.dlq" },
}
