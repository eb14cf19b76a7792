-- SPDX-License-Identifier: MIT
-- run/posix.lua: the functions of the C library that Lua files call, declared in one place: posix.isatty(1).
local ffi = require("ffi")

ffi.cdef [[
void _exit(int status);
int ferror(void *stream);
int getpid(void);
int ioctl(int fd, unsigned long request, ...);
int isatty(int fd);
int mkdir(const char *path, unsigned mode);
long readlink(const char *path, char *target, size_t size);
int sched_getaffinity(int pid, size_t size, uint64_t *mask);
]]

return ffi.C
