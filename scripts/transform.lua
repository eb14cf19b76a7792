-- SPDX-License-Identifier: MIT
-- The transform of clean_events.lua: called for each message in a worker process.
local tide = require "tidemill"

return function(message)
  local event = message.json -- a view; a value that is not JSON makes a dead letter
  if tide.json.type(event) ~= "object" then return message end -- null (a deletion), a number: as it came
  if event.level == "debug" then return nil end -- filtered; the offset still moves
  if type(event.value) == "number" then
    event.v, event.value = event.value * 2, nil -- edits are spliced into the original bytes
  end
  event.seen = true
  return message
end
