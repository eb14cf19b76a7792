-- SPDX-License-Identifier: MIT
-- run/error_text.lua: the text of an error or of a reason, which may be any Lua value: for a table without a
-- __tostring that is its JSON, for anything else what tostring gives.
local json = require("tidemill.run.json")

return function(thing)
  local metatable = type(thing) == "table" and getmetatable(thing)
  if type(thing) ~= "table" or metatable and metatable.__tostring then return tostring(thing) end
  local called, text, problem = pcall(json.module.encode, thing)
  return called and text or ("a table without text (%s)"):format(called and problem or text)
end
