-- SPDX-License-Identifier: MIT
-- What a spec of whole chains shares with the functions that run in its workers: memory, and signals to a process.
local ffi = require "ffi"

pcall(ffi.cdef, "void *mmap(void *at, size_t size, int protection, int flags, int fd, long offset);")
pcall(ffi.cdef, "int getpid(void); int kill(int pid, int signal);")

local READ_WRITE, SHARED_ANONYMOUS, SIGKILL = 3, 0x21, 9

local shared = {}

--- So many integers (from index 0), all 0, that this process and those that it forks later have in common; and a
--- function that makes them 0 again.
function shared.integers(count)
  local memory = ffi.C.mmap(nil, 4 * count, READ_WRITE, SHARED_ANONYMOUS, -1, 0)
  return ffi.cast("volatile int32_t *", memory), function() ffi.fill(memory, 4 * count) end
end

--- Kills a process; nil = the one that calls it.
function shared.kill(pid)
  ffi.C.kill(pid or ffi.C.getpid(), SIGKILL)
end

return shared
