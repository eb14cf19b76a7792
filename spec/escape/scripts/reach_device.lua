-- SPDX-License-Identifier: MIT
-- It has a socket use one device of the machine alone.
return { stopped_by = { "list" }, attack = function(t)
  local kernel = require "kernel"
  return kernel.passed(kernel.C.setsockopt(kernel.listed_udp(t), 1, 25, "lo", 2), "SO_BINDTODEVICE")
end }
