-- SPDX-License-Identifier: MIT
-- It changes the libraries that tidemill gives, which other files use.
return { stopped_by = { "hardened" }, attack = function()
  local tide = require "tidemill"
  for _, name in ipairs { "time", "hash", "json", "regex", "log", "metric", "base64" } do
    pcall(function() tide[name].changed = true end)
  end
end }
