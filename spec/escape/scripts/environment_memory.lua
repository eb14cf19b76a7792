-- SPDX-License-Identifier: MIT
-- It looks for the secret where the kernel has put the environment: at the end of the stack.
return { stopped_by = { "standard", "hardened" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  kernel.ffi.cdef "extern char *__libc_stack_end;"
  local page = kernel.ffi.cast("uintptr_t", kernel.C.__libc_stack_end)
  page = page - page % 4096
  local text, seen = {}, kernel.ffi.new "unsigned char[1]"
  while kernel.C.mincore(kernel.ffi.cast("void *", page), 4096, seen) == 0 do
    text[#text + 1] = kernel.ffi.string(kernel.ffi.cast("char *", page), 4096)
    page = page + 4096
  end
  return kernel.variable(table.concat(text), t.variable)
end }
