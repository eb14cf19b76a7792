-- SPDX-License-Identifier: MIT
-- It asks the process that connects for another address, in every form it can think of.
return { stopped_by = { "list" }, attack = function(t)
  local kernel = require "kernel"
  local ffi, kind, size = kernel.ffi, kernel.ffi.new "int[1]", kernel.ffi.new("unsigned[1]", 4)
  local channel
  for fd = 3, 255 do -- its socket was made behind that of the worker's jobs
    if kernel.C.getsockopt(fd, 1, 3, kind, size) == 0 and kind[0] == 5 then channel = fd end
  end
  local request = ffi.new "struct { uint64_t number; uint32_t kind, type, port; uint8_t address[20]; }"
  local answer = ffi.new "struct { uint64_t number; int error, more; }"
  local waits = ffi.new("struct { int fd; short events, got; }", channel, 1, 0)
  request.address[10], request.address[11], request.address[12], request.address[15] = 255, 255, 127, 1
  for i, change in ipairs { {}, { type = 2 }, { type = 3 }, { port = t.port + 65536 }, { kind = 7 }, { size = 0 },
    { size = 41 }, { listed = true, type = 3 }, { listed = true, type = 5 } } do
    request.number, request.kind, request.type = request.number + 1, change.kind or 0, change.type or 1
    request.port = change.port or change.listed and t.listed or t.port
    kernel.C.send(channel, request, change.size or 40, 0)
    while kernel.C.poll(waits, 1, 50) > 0 and kernel.C.recv(channel, answer, 16, 0) > 0 do
      if answer.error == 0 or answer.error == 115 then return "it was given a socket for change " .. i end
    end
  end
end }
