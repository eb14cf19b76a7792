-- SPDX-License-Identifier: MIT
-- What functions of the library say to what they do not take.
local refusals = {}

local function check(reason, text)
  assert(text:find(reason, 1, true), text .. " has no " .. reason)
end

--- A function gave nil and a reason with this text; returns what else it gave.
function refusals.refused(reason, value, text, ...)
  assert(value == nil, "it is not refused")
  check(reason, tostring(text))
  return ...
end

--- A function raises an error with this text, and the place in the spec, as a script would have it.
function refusals.raises(reason, fn, ...)
  local arguments = { n = select("#", ...), ... }
  local ok, problem = pcall(function() return (fn(unpack(arguments, 1, arguments.n))) end)
  assert(not ok, "no error: " .. reason)
  assert(tostring(problem):find "^%.?/?spec/[%w_/]+%.lua:%d+: ", problem)
  check(reason, problem)
end

return refusals
