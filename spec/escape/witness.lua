-- SPDX-License-Identifier: MIT
-- The transform behind carrier.lua in the same worker, with names of its own: it fails when a script has changed what
-- other files use.
local tide = require "tidemill"
local drop, floor, reverse = tide.drop, math.floor, string.reverse
local LIBRARIES = { "time", "hash", "json", "regex", "log", "metric", "base64" }

local function is_changed()
  for _, name in ipairs(LIBRARIES) do
    if rawget(tide[name], "changed") then return true end
  end
  return require("tidemill").drop ~= drop or math.floor ~= floor or string.reverse ~= reverse
    or ("ab"):reverse() ~= "ba" or pcall(function() return (nil).x end)
end

return function(message)
  if is_changed() then error("a script has changed what other files use", 0) end
  return message
end
