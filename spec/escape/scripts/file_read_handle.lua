-- SPDX-License-Identifier: MIT
-- It opens the canary file by a handle, past all folders (open_by_handle_at).
return { stopped_by = { "standard", "hardened" }, attack = function(t)
  local kernel = require "kernel"
  local handle, mount = kernel.ffi.new("int[34]", 128), kernel.ffi.new "int[1]"
  kernel.call("name_to_handle_at", -100, t.canary, handle, mount, 0)
  local place = kernel.check(kernel.C.open("/tmp", 0), "open")
  return kernel.text_of(kernel.call("open_by_handle_at", place, handle, 0))
end }
