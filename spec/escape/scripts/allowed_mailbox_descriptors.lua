-- SPDX-License-Identifier: MIT
-- It sends the engine descriptors, for it to keep.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  local kernel = require "kernel"
  kernel.ffi.cdef [[
    struct kernel_message { void *name; uint64_t name_size; const void *parts; uint64_t part_count; void *control;
      uint64_t control_size; int flags; };
    long sendmsg(int fd, const struct kernel_message *message, int flags);
  ]]
  local part = kernel.ffi.new("const char *[2]", { kernel.ffi.cast("const char *", "x"), nil })
  kernel.ffi.cast("uint64_t *", part)[1] = 1
  local control = kernel.ffi.new("int[8]", { 20, 0, 1, 1, 2 }) -- its length, SOL_SOCKET, SCM_RIGHTS, standard error
  local message = kernel.ffi.new("struct kernel_message", { nil, 0, part, 1, control, 24, 0 })
  for _ = 1, 500 do kernel.C.sendmsg(kernel.mailbox(), message, 0x40) end
end }
