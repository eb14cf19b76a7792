-- SPDX-License-Identifier: MIT
-- Count per minute: how often each page was seen, in the time of the events. One that comes up to ten seconds late
-- counts in its minute. Minutes that are not over stay in the folder `state`, and what is added to the file later ends
-- them.
--   tidemill run scripts/count_per_minute.lua --set input=scripts/samples/clicks.jsonl --set state=$(mktemp -d)
local tide = require "tidemill"

local function add(n)
  return (n or 0) + 1
end

local function result(n, window)
  return { json = { minute = tide.time.format(window.from), page = window.key, count = n } }
end

return tide.pipeline "count_per_minute" {
  tide.file_source { path = tide.param("input") },
  tide.window { size = "1min", grace = "10s", by = "json:page", time = "json:ts", add = add, result = result,
    processes = 1 }, -- more are faster, and results of different pages come in any order then
  tide.file_sink { path = "-" },
  state_dir = tide.param("state", "state-of-count_per_minute"),
}
