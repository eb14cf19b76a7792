-- SPDX-License-Identifier: MIT
-- It connects again and again while a thread writes another port over the address.
return { stopped_by = { "list" }, shown = true, attack = function(t)
  local kernel = require "kernel"
  local ffi, listed = kernel.ffi, t.listed or 9
  local address, size = kernel.inet(listed)
  local function word(port) return string.char(math.floor(port / 256), port % 256) end
  -- again: mov word [rdi + 2], LISTED; mov word [rdi + 2], OTHER; jmp again
  local page = kernel.check(kernel.C.mmap(nil, 4096, 3, 0x22, -1, 0), "mmap")
  ffi.copy(page, "\102\199\71\2" .. word(listed) .. "\102\199\71\2" .. word(t.port) .. "\235\242")
  kernel.check(kernel.C.mprotect(page, 4096, 5), "mprotect")
  local first = kernel.check(kernel.C.socket(2, 2, 0), "socket")
  if ffi.arch ~= "x64" then error "machine code of another processor" end
  assert(kernel.C.pthread_create(ffi.new "unsigned long[1]", nil, page, address) == 0)
  local peer, length = ffi.new "uint8_t[28]", ffi.new("unsigned[1]", 28)
  -- Not before the thread runs: all the attempts may be over by then.
  while address[2] * 256 + address[3] ~= t.port do kernel.C.poll(nil, 0, 1) end
  for _ = 1, 3000 do
    if kernel.C.connect(first, address, size) == 0 and kernel.C.getpeername(first, peer, length) == 0
      and peer[2] * 256 + peer[3] == t.port then
      return "it is connected"
    end
  end
end }
