-- SPDX-License-Identifier: MIT
-- It takes a module of ours from the table of loaded modules.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  for name, module in pairs(package.loaded) do
    if name:find "^tidemill%.run" then return name .. tostring(module) end
  end
  return tostring(package.loaded["tidemill.run.result"] or error "none")
end }
