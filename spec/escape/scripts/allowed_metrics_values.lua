-- SPDX-License-Identifier: MIT
-- It counts what is no number and gives names that are none.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local metric = require("tidemill").metric
  for _, value in ipairs { 0 / 0, 1 / 0, -1 / 0, -1, 2 ^ 1023, "7", {}, true } do
    metric.count("values", value)
    metric.gauge("values_gauge", value)
    metric.timing("values_timing", value)
  end
  metric.count(("n"):rep(1e5))
  metric.count "a\nb{c=\"d\"} 1"
end }
