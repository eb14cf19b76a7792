-- SPDX-License-Identifier: MIT
-- Make sessions: the clicks of a user that are less than half an hour apart are one session, which is over when nothing
-- more can come of it. Open ones stay in the folder `state`.
--   tidemill run scripts/sessions.lua --set input=scripts/samples/clicks.jsonl --set state=$(mktemp -d)
local tide = require "tidemill"

local function add(session, message)
  session.pages[#session.pages + 1] = message.json.page
  return session
end

local function result(session, window)
  return { json = { user = window.key, begin = tide.time.format(window.from), pages = session.pages } }
end

return tide.pipeline "sessions" {
  tide.file_source { path = tide.param("input") },
  tide.window { gap = "30min", by = "json:user", time = "json:ts", init = function() return { pages = {} } end,
    add = add, result = result, processes = 1 }, -- more are faster, and users come in any order then
  tide.file_sink { path = "-" },
  state_dir = tide.param("state", "state-of-sessions"),
}
