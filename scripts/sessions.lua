-- SPDX-License-Identifier: MIT
-- Make sessions.
-- Clicks of one user that are less than 30 minutes apart form a session. A session ends when the time in the events has
-- passed its end. Open sessions are kept in `state`.
--   tidemill run scripts/sessions.lua --input scripts/samples/clicks.jsonl --set state=$(mktemp -d)
local tide = require "tidemill"

local function add(session, message)
  session.pages[#session.pages + 1] = message.json.page
  return session
end

local function result(session, window)
  return { json = { user = window.key, begin = tide.time.format(window.from), pages = session.pages } }
end

return tide.pipeline "sessions" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "clicks", group = "sessions",
    start = "earliest" },
  -- More processes are faster; then sessions of different users come in any order.
  tide.window { gap = "30min", by = "json:user", time = "json:ts", init = function() return { pages = {} } end,
    add = add, result = result, processes = 1 },
  tide.produce { topic = "sessions" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "clicks.dlq" },
  state_dir = tide.param("state", "state-of-sessions"),
}
