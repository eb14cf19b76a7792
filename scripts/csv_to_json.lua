-- SPDX-License-Identifier: MIT
-- Turn lines of CSV into JSON.
-- Fields may be quoted. A line without exactly three fields becomes a dead letter.
--   tidemill run scripts/csv_to_json.lua --input scripts/samples/rows.csv
local tide = require "tidemill"

local names = { "id", "name", "city" }
local field = [[\G(?:"((?:[^"]|"")*)"|([^",]*)),]]

local function to_json(message)
  if message.value == nil then return message end -- null: the key is deleted
  local line, fields, object = message.value:gsub("\r$", ""), {}, {} -- lines of Windows end in \r\n
  local rest = tide.regex.gsub(line .. ",", field, function(quoted, plain)
    fields[#fields + 1] = quoted and quoted:gsub('""', '"') or plain
    return ""
  end)
  if rest ~= "" or #fields ~= #names then return tide.reject "not a line of three fields" end
  for i, name in ipairs(names) do object[name] = fields[i] end
  return { json = object }
end

return tide.pipeline "csv-to-json" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "rows", group = "csv-to-json",
    start = "earliest" },
  tide.run_task_with_multiprocessing { to_json, processes = tide.param("processes", 2) },
  tide.produce { topic = "rows.json" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "rows.dlq" },
}
