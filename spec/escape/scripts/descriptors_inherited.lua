-- SPDX-License-Identifier: MIT
-- It reads what descriptors it has: 9 is the canary file, with which the engine was started.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function()
  local kernel = require "kernel"
  local bytes = kernel.ffi.new "char[64]"
  for fd = 3, 255 do
    local size = kernel.C.pread(fd, bytes, 64, 0)
    local text = size > 0 and kernel.ffi.string(bytes, size)
    if text and not text:find "^[%d%s]+$" then return text end -- numbers: how long it has waited for a core
  end
end }
