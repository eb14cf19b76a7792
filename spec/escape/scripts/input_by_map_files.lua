-- SPDX-License-Identifier: MIT
-- It opens its input block for writing by /proc/self/map_files.
return { stopped_by = { "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  for line in io.lines "/proc/self/maps" do
    local range = line:match "^(%x+%-%x+) r%-%-s .*memfd:"
    if range and kernel.C.open("/proc/self/map_files/" .. range, 2) >= 0 then return "an input block is open" end
  end
end }
