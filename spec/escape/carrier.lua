-- SPDX-License-Identifier: MIT
-- The transform under which hostile scripts run: "attack NAME key=value ..." runs the script NAME on that message.
-- What a script returns is what it has gained, and becomes the result, except where it attacks by its results
-- (`result`); a script that is refused raises an error. All other messages are neighbours, whose result is the text
-- turned round: the next step turns it back.
local function target(message)
  local t = { message = message }
  for key, value in message.value:gmatch "([%w_]+)=(%S+)" do t[key] = tonumber(value) or value end
  return t
end

-- Says so, and waits within a batch until a file is there.
local function hold(path)
  io.stderr:write "held\n"
  repeat local file = io.open(path) until file
end

return function(message)
  local name = message.value:match "^attack ([%w_]+)"
  if message.value == "leave" then return ("x"):rep(2e9) end -- which ends the worker: the next message has a fresh one
  if message.value:find "^hold " then hold(message.value:match "^hold (.*)") end
  if not name then return message.value:reverse() end
  local script = require("scripts." .. name)
  local gained = script.attack(target(message))
  if script.result then return gained end
  if not gained then error("nothing is gained", 0) end
  return ("escaped by %s: %s"):format(name, tostring(gained))
end
