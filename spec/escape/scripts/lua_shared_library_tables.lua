-- SPDX-License-Identifier: MIT
-- It writes into the tables of libraries that tidemill gives, where other files see it.
return { stopped_by = { "hardened" }, attack = function()
  local tide = require "tidemill"
  for _, name in ipairs { "time", "hash", "json", "regex", "log", "metric", "base64" } do
    local ok, library = pcall(function() return tide[name] end)
    if ok and type(library) == "table" and pcall(function() library.changed = true end) and tide[name].changed then
      return "tide." .. name .. " is changed"
    end
  end
end }
