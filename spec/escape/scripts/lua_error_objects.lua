-- SPDX-License-Identifier: MIT
-- It calls functions of ours in wrong ways, for an error that holds something of ours.
return { stopped_by = { "hardened" }, attack = function()
  for name, fn in pairs(require "tidemill") do
    if type(fn) == "function" then
      local ok, problem = pcall(fn, setmetatable({}, { __index = function() error { "mine" } end }))
      if not ok and type(problem) ~= "string" and problem[1] ~= "mine" then return name end
    end
  end
end }
