-- SPDX-License-Identifier: MIT
-- run/told.lua: what an error or a reason says that may be any value: of a table its JSON, of others tostring.
local json = require 'tidemill.run.json'

return function(thing)
  local mark = type(thing) == 'table' and getmetatable(thing)
  if type(thing) ~= 'table' or mark and mark.__tostring then return tostring(thing) end
  local has_json, text = pcall(json.module.encode, thing)
  return has_json and text or ('a table without text (%s)'):format(text)
end
