-- SPDX-License-Identifier: MIT
-- It counts a million times, under a thousand names.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local metric = require("tidemill").metric
  for i = 1, 1e6 do metric.count("flood" .. i % 1000) end
end }
