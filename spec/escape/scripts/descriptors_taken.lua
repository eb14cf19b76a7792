-- SPDX-License-Identifier: MIT
-- It takes a descriptor of the engine by pidfd_getfd().
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  local process = kernel.call("pidfd_open", t.engine, 0)
  for fd = 0, 63 do
    local ok, taken = pcall(kernel.call, "pidfd_getfd", process, fd, 0)
    if ok then return "it has the engine's descriptor " .. fd .. " as " .. taken end
  end
end }
