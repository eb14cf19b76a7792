-- SPDX-License-Identifier: MIT
-- What hostile scripts (spec/escape/scripts) call the kernel with: the C library, and system calls by name, also those
-- that it has no function for. What is refused raises an error, and that is how a contained script ends. Under
-- trust = "hardened" requiring this file is refused already, since there is no ffi.
local ffi = require "ffi"

ffi.cdef [[
long syscall(long number, ...);
char *strerror(int number);
int getpid(void); int getppid(void); int getuid(void); int fork(void); int pause(void); void _exit(int status);
int waitpid(int pid, int *status, int options); int kill(int pid, int signal); int system(const char *command);
int posix_spawn(int *pid, const char *path, const void *actions, const void *attributes, const char **argv,
                const char **envp);
int execve(const char *path, const char **argv, const char **envp);
int fexecve(int fd, const char **argv, const char **envp);
int setsid(void); int sigqueue(int pid, int signal, void *value); int prctl(int option, ...);
int open(const char *path, int flags, ...); int openat(int folder, const char *path, int flags, ...); int close(int fd);
long read(int fd, void *bytes, size_t size); long write(int fd, const void *bytes, size_t size);
long pread(int fd, void *bytes, size_t size, long at); long pwrite(int fd, const void *bytes, size_t size, long at);
int pipe(int fds[2]); int fcntl(int fd, int command, ...); int ioctl(int fd, unsigned long request, ...);
int dup2(int from, int to); int ftruncate(int fd, long size); int truncate(const char *path, long size);
int symlink(const char *to, const char *from); int link(const char *to, const char *from); int chdir(const char *path);
int chmod(const char *path, unsigned mode); int lchown(const char *path, int user, int group);
int mkdir(const char *path, unsigned mode); int mkfifo(const char *path, unsigned mode);
int utimensat(int folder, const char *path, const void *times, int flags);
int socket(int family, int type, int protocol); int socketpair(int family, int type, int protocol, int fds[2]);
int getsockopt(int fd, int level, int option, void *value, unsigned *size);
int connect(int fd, const void *address, unsigned size); int bind(int fd, const void *address, unsigned size);
int listen(int fd, int backlog); int poll(void *fds, unsigned long count, int timeout_ms);
long sendto(int fd, const void *bytes, size_t size, int flags, const void *address, unsigned address_size);
struct kernel_part { const void *bytes; size_t size; };
struct kernel_message { const void *address; unsigned address_size; struct kernel_part *parts; size_t part_count;
  void *control; size_t control_size; int flags; };
struct kernel_messages { struct kernel_message message; unsigned sent; };
long sendmsg(int fd, const struct kernel_message *message, int flags); long send(int, const void *, size_t, int);
int sendmmsg(int fd, struct kernel_messages *messages, unsigned count, int flags);
int setsockopt(int fd, int level, int option, const void *value, unsigned size); long recv(int, void *, size_t, int);
int getpeername(int fd, void *address, unsigned *size);
void *mmap(void *at, size_t size, int protection, int flags, int fd, long offset);
void *mremap(void *at, size_t size, size_t new_size, int flags, ...);
int mprotect(void *at, size_t size, int protection); int madvise(void *at, size_t size, int advice);
int mincore(void *at, size_t size, unsigned char *pages);
struct kernel_limit { uint64_t now, most; };
int setrlimit(int what, const struct kernel_limit *limit);
int prlimit(int pid, int what, const struct kernel_limit *new_one, struct kernel_limit *old);
int setpriority(int which, int who, int priority); int sched_setscheduler(int pid, int policy, const int *priority);
int sched_setaffinity(int pid, size_t size, const uint64_t *mask);
int setresuid(int real, int effective, int saved);
int pthread_create(unsigned long *thread, const void *attributes, void *start, void *argument);
int pthread_join(unsigned long thread, void **result);
unsigned sleep(unsigned seconds); void *malloc(size_t size); void *memset(void *to, int byte, size_t size);
void *signal(int number, void *handler); unsigned alarm(unsigned seconds);
int shmget(int key, size_t size, int flags); int shmctl(int id, int command, void *buffer);
int semget(int key, int count, int flags); int semctl(int id, int number, int command, ...);
int msgget(int key, int flags); int msgctl(int id, int command, void *buffer);
]]

local kernel = { C = ffi.C, ffi = ffi }

-- Numbers on x86-64 and on AArch64; one number is that of both. -1: there is no such call.
local NUMBERS = {
  clone = { 56, 220 }, execveat = { 322, 281 }, tgkill = { 234, 131 }, tkill = { 200, 130 }, ptrace = { 101, 117 },
  process_vm_readv = { 310, 270 }, process_vm_writev = { 311, 271 }, memfd_create = { 319, 279 },
  renameat2 = { 316, 276 }, mknodat = { 259, 33 }, setxattr = { 188, 5 }, name_to_handle_at = { 303, 264 },
  open_by_handle_at = { 304, 265 }, inotify_init1 = { 294, 26 }, inotify_add_watch = { 254, 27 },
  fanotify_init = { 300, 262 }, mq_open = { 240, 180 }, mq_unlink = { 241, 181 }, add_key = { 248, 217 },
  request_key = { 249, 218 }, keyctl = { 250, 219 }, mount = { 165, 40 }, umount2 = { 166, 39 },
  unshare = { 272, 97 }, setns = { 308, 268 }, chroot = { 161, 51 }, pivot_root = { 155, 41 }, bpf = { 321, 280 },
  userfaultfd = { 323, 282 }, perf_event_open = { 298, 241 }, kcmp = { 312, 272 }, ioprio_set = { 251, 30 },
  migrate_pages = { 256, 238 }, move_pages = { 279, 239 }, personality = { 135, 92 }, adjtimex = { 159, 171 },
  clock_settime = { 227, 112 }, syslog = { 103, 116 }, swapon = { 167, 224 }, swapoff = { 168, 225 },
  quotactl = { 179, 60 }, kexec_load = { 246, 104 }, reboot = { 169, 142 }, init_module = { 175, 105 },
  delete_module = { 176, 106 }, iopl = { 172, -1 }, acct = { 163, 89 }, sethostname = { 170, 161 },
  sched_setattr = { 314, 274 }, pidfd_send_signal = 424, io_uring_setup = 425, open_tree = 428, fsopen = 430,
  pidfd_open = 434, clone3 = 435, openat2 = 437, pidfd_getfd = 438, process_madvise = 440, process_mrelease = 448,
  fchmodat2 = 452,
}

local REFUSED = { [1] = true, [13] = true, [38] = true } -- EPERM, EACCES, ENOSYS

-- A number is a long for a function that takes any arguments; as it is, it would be a double.
local function as_longs(...)
  local list = { ... }
  for i = 1, select("#", ...) do
    if type(list[i]) == "number" then list[i] = ffi.cast("long", list[i]) end
  end
  return unpack(list, 1, select("#", ...))
end

local function raw(name, ...)
  local number = NUMBERS[name]
  if type(number) == "table" then number = number[ffi.arch == "x64" and 1 or 2] end
  return tonumber(ffi.C.syscall(number, as_longs(...))), ffi.errno()
end

local function fail(what, errno)
  error(("%s: %s"):format(what, ffi.string(ffi.C.strerror(errno))), 0)
end

--- What a function of C has returned, unless it is -1: then an error.
function kernel.check(result, what)
  local errno = ffi.errno()
  if tonumber(ffi.cast("long", result)) == -1 then fail(what or "refused", errno) end
  return result
end

--- A system call that is to succeed; its result.
function kernel.call(name, ...)
  local result, errno = raw(name, ...)
  if result == -1 then fail(name, errno) end
  return result
end

--- A system call with arguments that do no harm: it has reached the kernel when that finds fault with them. Only a
--- refusal is an error.
function kernel.reached(name, ...)
  local result, errno = raw(name, ...)
  if result == -1 and REFUSED[errno] then fail(name, errno) end
  return ("%s was let through: %d, %s"):format(name, result, ffi.string(ffi.C.strerror(errno)))
end

--- For a function of C: what it returned, and whether the kernel looked at it.
function kernel.passed(result, what)
  local errno = ffi.errno()
  if result == -1 and REFUSED[errno] then fail(what, errno) end
  return ("%s was let through: %s"):format(what, ffi.string(ffi.C.strerror(errno)))
end

--- const char *[] for exec, ended by a null pointer.
function kernel.strings(...)
  local array = ffi.new("const char *[?]", select("#", ...) + 1)
  for i, text in ipairs { ... } do array[i - 1] = text end
  return array
end

--- In a child: never returns, and takes no time.
function kernel.stay()
  while true do ffi.C.poll(nil, 0, 100000) end
end

--- What can be read from a descriptor, or nil.
function kernel.text_of(fd)
  if fd < 0 then return nil end
  local buffer = ffi.new "char[4096]"
  local size = ffi.C.read(fd, buffer, 4096)
  return size > 0 and ffi.string(buffer, size) or nil
end

--- A local variable of one of the callers: of the loop, the runner, the worker.
function kernel.found(name)
  for level = 2, 60 do
    for i = 1, 200 do
      local info = debug.getinfo(level, "l")
      local local_name, value = nil, nil
      if info then local_name, value = debug.getlocal(level, i) end
      if not local_name then break end
      if local_name == name then return value end
    end
  end
  error("no local " .. name)
end

--- The record that is being run in the input block, rounded down to whole pages.
function kernel.input()
  local at = ffi.cast("uintptr_t", kernel.found("job").record)
  return ffi.cast("char *", at - at % 4096)
end

--- Start and size of each mapping whose rights (as in "rw-s") are of this pattern: a list of { from, size }.
function kernel.mappings(pattern)
  local list = {}
  for line in io.lines "/proc/self/maps" do
    local from, to, rights = line:match "^(%x+)%-(%x+) (....)"
    if rights:find(pattern) then
      local first, last = tonumber(from, 16), tonumber(to, 16)
      list[#list + 1] = { ffi.cast("char *", ffi.cast("uintptr_t", first)), last - first }
    end
  end
  return list
end

--- The same of shared ones that may be written.
function kernel.shared()
  return kernel.mappings "rw%-s"
end

--- The descriptor of the socket on which the worker gets its jobs.
function kernel.mailbox()
  local kind, size = ffi.new "int[1]", ffi.new("unsigned[1]", 4)
  for fd = 3, 255 do
    if ffi.C.getsockopt(fd, 1, 3, kind, size) == 0 and kind[0] == 5 then return fd end -- SO_TYPE, SOCK_SEQPACKET
  end
  error "no mailbox"
end

--- Runs a few bytes of machine code, as a function that returns a number.
function kernel.run_code(bytes)
  local page = kernel.check(ffi.C.mmap(nil, 4096, 3, 0x22, -1, 0), "mmap")
  ffi.copy(page, bytes)
  kernel.check(ffi.C.mprotect(page, 4096, 5), "mprotect")
  return ffi.cast("int (*)(void)", page)()
end

--- A socket address: IPv4 on this machine, 127.0.0.1 or another that ends in a number.
function kernel.inet(port, last)
  local bytes = ffi.new("uint8_t[16]", 2, 0, math.floor(port / 256), port % 256, 127, 0, 0, last or 1)
  return bytes, 16
end

--- The same address, as one of IPv6.
function kernel.mapped(port)
  local bytes = ffi.new("uint8_t[28]", 10, 0, math.floor(port / 256), port % 256)
  bytes[18], bytes[19], bytes[20], bytes[23] = 255, 255, 127, 1
  return bytes, 28
end

--- A message for sendmsg() to an address; the second result keeps its parts.
function kernel.message(text, address, size)
  local part = ffi.new("struct kernel_part[1]", { { text, #text } })
  return ffi.new("struct kernel_message", { address, size, part, 1 }), { part, text, address }
end

--- A UDP socket that is connected to the host of the list where there is one.
function kernel.listed_udp(t)
  local fd = kernel.check(ffi.C.socket(2, 2, 0), "socket")
  kernel.check(ffi.C.connect(fd, kernel.inet(t.listed or t.port)), "connect")
  return fd
end

--- A socket address: of a path, or an abstract name (it begins with "@").
function kernel.unix(path)
  local bytes = ffi.new("uint8_t[110]", 1, 0)
  ffi.copy(bytes + 2, (path:gsub("^@", "\0")), #path)
  return bytes, 2 + #path
end

--- The value of a variable of the environment in a text of NAME=value pieces; an error when it is not there.
function kernel.variable(text, name)
  return text and text:match(name .. "=(%w+)") or error "not there"
end

return kernel
