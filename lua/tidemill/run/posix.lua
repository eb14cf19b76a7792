-- SPDX-License-Identifier: MIT
-- run/posix.lua: the functions of the C library that Lua files call, declared in one place: posix.isatty(1).
local ffi = require("ffi")

ffi.cdef [[
struct tide_posix_entry { /* struct dirent of glibc, on machines of 64 bits */
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char kind;
  char name[256];
};
extern char **environ;
void _exit(int status);
int access(const char *path, int mode);
int clock_getcpuclockid(int pid, int *clock);
int close(int fd);
int closedir(void *folder);
int execv(const char *path, char *const arguments[]);
int ferror(void *stream);
int fork(void);
int getpid(void);
int ioctl(int fd, unsigned long request, ...);
int isatty(int fd);
int mkdir(const char *path, unsigned mode);
void *opendir(const char *path);
int kill(int pid, int signal);
int tide_posix_sigqueue(int pid, int signal, void *value) __asm__("sigqueue"); /* a union of int and pointer */
int pipe(int fds[2]);
struct tide_posix_pollfd { int fd; short events, revents; };
int tide_posix_poll(struct tide_posix_pollfd *fds, unsigned long count, int timeout_ms) __asm__("poll");
int prctl(int option, ...);
long read(int fd, void *bytes, size_t size);
long recv(int fd, void *bytes, size_t size, int flags);
long send(int fd, const void *bytes, size_t size, int flags);
int socketpair(int domain, int type, int protocol, int fds[2]);
struct tide_posix_entry *readdir(void *folder);
long readlink(const char *path, char *target, size_t size);
char *realpath(const char *path, char *resolved);
void *tide_posix_signal(int number, void *handler) __asm__("signal"); /* handler: NULL = default, 1 = ignore */
int tide_posix_sigprocmask(int how, const uint64_t *set, uint64_t *before) __asm__("sigprocmask");
int tide_posix_signalfd(int fd, const uint64_t *set, int flags) __asm__("signalfd");
int sched_getaffinity(int pid, size_t size, uint64_t *mask);
int tide_posix_clock(int clock, int64_t seconds_and_nanoseconds[2]) __asm__("clock_gettime");
int waitpid(int pid, int *status, int options);
long write(int fd, const void *bytes, size_t size);
]]

return ffi.C
