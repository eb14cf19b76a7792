-- SPDX-License-Identifier: MIT
-- It has datagrams for a host go by way of another one, which the kernel then sends them to.
return { stopped_by = { "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local route = kernel.ffi.new("uint8_t[12]", 131, 11, 4, 127, 0, 0, 9, 127, 0, 0, 1, 0) -- loose source route
  kernel.check(kernel.C.setsockopt(kernel.listed_udp(t), 0, 4, route, 12), "IP_OPTIONS")
  return "it has a route"
end }
