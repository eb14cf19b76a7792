-- SPDX-License-Identifier: MIT
-- It opens devices: memory, the kernel's log, terminals.
return { stopped_by = { "standard", "hardened" }, landlock = true, shown = true, attack = function()
  local kernel = require "kernel"
  for _, name in ipairs { "mem", "kmsg", "kvm", "fuse", "ptmx" } do
    if kernel.C.open("/dev/" .. name, 0x900) >= 0 then return "/dev/" .. name .. " is open" end
  end
end }
