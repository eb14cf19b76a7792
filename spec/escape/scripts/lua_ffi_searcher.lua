-- SPDX-License-Identifier: MIT
-- It takes ffi by the functions that search for modules.
return { stopped_by = { "hardened" }, attack = function()
  for _, search in ipairs(package.loaders) do
    local open = search "ffi"
    if type(open) == "function" then return open "ffi".os end
  end
end }
