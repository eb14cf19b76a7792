-- SPDX-License-Identifier: MIT
-- It has packets of IPv6 go by way of another host.
return { stopped_by = { "list" }, attack = function()
  local kernel = require "kernel"
  local fd = kernel.check(kernel.C.socket(10, 2, 0), "socket")
  local header = kernel.ffi.new("uint8_t[24]", 0, 2, 2, 1)
  return kernel.passed(kernel.C.setsockopt(fd, 41, 57, header, 24), "IPV6_RTHDR")
end }
