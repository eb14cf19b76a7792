-- SPDX-License-Identifier: MIT
-- It asks for the address of a name, which takes a datagram.
return { stopped_by = { "standard", "hardened", "list" }, attack = function(t)
  local kernel = require "kernel"
  kernel.ffi.cdef "int getaddrinfo(const char *, const char *, const void *, void **);"
  local found = kernel.ffi.new "void *[1]"
  assert(kernel.C.getaddrinfo(t.token .. ".invalid", "80", nil, found) == 0, "no address")
  return "it has an address"
end }
