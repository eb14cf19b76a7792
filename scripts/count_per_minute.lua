-- SPDX-License-Identifier: MIT
-- Count per minute.
-- How often each page was seen, by the time in the events. An event that comes up to ten seconds late still counts in
-- its minute. A minute that is not over yet is kept in `state`; later events end it.
--   tidemill run scripts/count_per_minute.lua --input scripts/samples/clicks.jsonl --set state=$(mktemp -d)
local tide = require "tidemill"

local function add(n)
  return (n or 0) + 1
end

local function result(n, window)
  return { json = { minute = tide.time.format(window.from), page = window.key, count = n } }
end

return tide.pipeline "count-per-minute" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "clicks", group = "count-per-minute",
    start = "earliest" },
  -- More processes are faster; then results of different pages come in any order.
  tide.window { size = "1min", grace = "10s", by = "json:page", time = "json:ts", add = add, result = result,
    processes = 1 },
  tide.produce { topic = "clicks.per_minute" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "clicks.dlq" },
  state_dir = tide.param("state", "state-of-count-per-minute"),
}
