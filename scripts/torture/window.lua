-- SPDX-License-Identifier: MIT
-- The functions of tide.window under torture: the value of a window is how many messages it has, and the sum of their
-- ids.
local behaviour = require "behaviour"
local harm = require "harm"

local window = {}

local does = { crash = harm.crash, hang = harm.hang }

function does.error(id)
  if id / 83 % 2 == 0 then error("as its id says") end
  return nil -- which is none, too
end

function window.init() return { n = 0, sum = 0 } end

function window.add(value, message)
  local id = tonumber(message.value:match("^%d+"))
  local act = does[behaviour.of(id)]
  value.n, value.sum = value.n + 1, value.sum + id -- first: of a message that then fails nothing may remain
  if act then return act(id) end
  return value
end

return window
