-- SPDX-License-Identifier: MIT
-- The transform of clean_events.lua: called for each message in a worker process.
local cjson = require "cjson"

return function(message)
  local event = cjson.decode(message.value) -- an error here makes this one message a dead letter
  if event.level == "debug" then return nil end -- filtered; the offset still moves
  event.v, event.value = event.value * 2, nil
  event.seen = true
  return cjson.encode(event) -- a string: the new value; key and headers stay
end
