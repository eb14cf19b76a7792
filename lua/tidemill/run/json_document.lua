-- SPDX-License-Identifier: MIT
-- run/json_document.lua: reads a text that may be a JSON document, for those who compare or show it by value.
local json = require("tidemill.run.json").public

--- Returns the plain tables of a text that is an object or an array of JSON; nil for any other value.
return function(text)
  if type(text) ~= "string" or not text:find("^%s*[%[{]") then return nil end
  local is_json, value = pcall(json.table, text)
  return is_json and value or nil
end
