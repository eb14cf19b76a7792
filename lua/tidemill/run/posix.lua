-- SPDX-License-Identifier: MIT
-- run/posix.lua: the functions of the C library that Lua files call, declared in one place: posix.isatty(1).
local ffi = require("ffi")

ffi.cdef [[
void _exit(int status);
int clock_getcpuclockid(int pid, int *clock);
int close(int fd);
int ferror(void *stream);
int fork(void);
int getpid(void);
int ioctl(int fd, unsigned long request, ...);
int isatty(int fd);
int mkdir(const char *path, unsigned mode);
int pipe(int fds[2]);
int prctl(int option, ...);
long read(int fd, void *bytes, size_t size);
long readlink(const char *path, char *target, size_t size);
int sched_getaffinity(int pid, size_t size, uint64_t *mask);
int tide_posix_clock(int clock, int64_t seconds_and_nanoseconds[2]) __asm__("clock_gettime");
int waitpid(int pid, int *status, int options);
long write(int fd, const void *bytes, size_t size);
]]

return ffi.C
