-- SPDX-License-Identifier: MIT
-- cli/top/terminal.lua: a terminal that a program draws on: its size, keys and signals, and its state before, which is
-- given back whatever happens. Signals are blocked and read from a signalfd, so that none comes while the terminal is
-- half drawn. In raw mode Ctrl-C is a key.
local ffi = require("ffi")
local posix = require("tidemill.run.posix")
local signals = require("tidemill.cli.signals")

ffi.cdef [[
struct tide_pollfd { int fd; short events; short revents; };
int poll(struct tide_pollfd *descriptors, unsigned long count, int timeout_ms);
ssize_t read(int fd, void *bytes, size_t size);
int close(int fd);
int sigemptyset(void *set);
int sigaddset(void *set, int signal);
int sigprocmask(int how, const void *set, void *old);
int signalfd(int fd, const void *set, int flags);
int tcgetattr(int fd, void *attributes);
int tcsetattr(int fd, int when, const void *attributes);
void cfmakeraw(void *attributes);
]]

local terminal = {}
local Terminal = {}
Terminal.__index = Terminal

local STDIN, STDOUT, POLLIN, TIOCGWINSZ, TCSAFLUSH, SIG_BLOCK, SIG_SETMASK, CLOEXEC = 0, 1, 1, 0x5413, 2, 0, 2, 0x80000
local WINCH = 28
local SIGNALS = { signals.HUP, signals.INT, signals.QUIT, signals.TERM, WINCH }

-- Larger than the C library's structs, which are not declared here since they differ between machines.
local ATTRIBUTES, SIGSET, SIGINFO = 128, 128, 128

-- An alternate screen without a cursor; the end of both.
local ENTER, LEAVE = "\27[?1049h\27[?25l\27[2J", "\27[0m\27[?25h\27[?1049l"

--- The columns and rows of the terminal at standard output; nil when it is none, or says 0.
function terminal.size()
  local size = ffi.new("unsigned short[4]") -- rows, columns, and pixels
  if posix.ioctl(STDOUT, TIOCGWINSZ, size) ~= 0 or size[1] == 0 or size[0] == 0 then return nil end
  return tonumber(size[1]), tonumber(size[0])
end

--- True when standard output is a terminal that can be drawn on.
function terminal.can_draw()
  local kind = os.getenv("TERM") or "dumb"
  return posix.isatty(STDOUT) == 1 and kind ~= "dumb" and kind ~= ""
end

--- True when the terminal shows UTF-8, by the locale.
function terminal.shows_utf8()
  for _, name in ipairs { "LC_ALL", "LC_CTYPE", "LANG" } do
    local value = os.getenv(name)
    if value and value ~= "" then return value:lower():find("utf%-?8") ~= nil end
  end
  return false
end

--- True when colours are wanted: https://no-color.org
function terminal.has_colours()
  return terminal.can_draw() and (os.getenv("NO_COLOR") or "") == ""
end

--- Takes the terminal over. Call close() in every case.
function terminal.open()
  local self = setmetatable({ signal_set = ffi.new("char[?]", SIGSET), old_set = ffi.new("char[?]", SIGSET) }, Terminal)
  ffi.C.sigemptyset(self.signal_set)
  for _, number in ipairs(SIGNALS) do ffi.C.sigaddset(self.signal_set, number) end
  ffi.C.sigprocmask(SIG_BLOCK, self.signal_set, self.old_set)
  self.signal_fd = ffi.C.signalfd(-1, self.signal_set, CLOEXEC)
  if posix.isatty(STDIN) == 1 then
    local raw = ffi.new("char[?]", ATTRIBUTES)
    self.attributes = ffi.new("char[?]", ATTRIBUTES)
    if ffi.C.tcgetattr(STDIN, self.attributes) == 0 then
      ffi.copy(raw, self.attributes, ATTRIBUTES)
      ffi.C.cfmakeraw(raw)
      ffi.C.tcsetattr(STDIN, TCSAFLUSH, raw)
    else
      self.attributes = nil
    end
  end
  io.stdout:write(ENTER)
  io.stdout:flush()
  return self
end

--- Gives the terminal back as it was.
function Terminal:close()
  io.stdout:write(LEAVE)
  io.stdout:flush()
  if self.attributes then ffi.C.tcsetattr(STDIN, TCSAFLUSH, self.attributes) end
  ffi.C.close(self.signal_fd)
  ffi.C.sigprocmask(SIG_SETMASK, self.old_set, nil)
end

--- Shows lines of text, at most as many as the terminal has rows. A terminal that is gone is a failure: false.
function Terminal:draw(texts) -- luacheck: no self
  io.stdout:write("\27[H", table.concat(texts, "\27[K\r\n"), "\27[K\27[J")
  return io.stdout:flush() ~= nil
end

local function read_signal(self)
  local info = ffi.new("uint32_t[?]", SIGINFO / 4)
  if ffi.C.read(self.signal_fd, info, SIGINFO) <= 0 then return nil end
  return tonumber(info[0])
end

--- Waits for at most `seconds`. Returns "key" and the byte, "signal" and its number, "resize", "closed" when the
--- terminal is gone, or nil when the time is up.
function Terminal:wait(seconds)
  local fds = ffi.new("struct tide_pollfd[2]")
  fds[0].fd, fds[0].events = self.signal_fd, POLLIN
  fds[1].fd, fds[1].events = self.attributes and STDIN or -1, POLLIN
  if ffi.C.poll(fds, 2, math.max(0, math.ceil(seconds * 1000))) <= 0 then return nil end
  if fds[0].revents ~= 0 then
    local number = read_signal(self)
    if number == WINCH then return "resize" end
    return "signal", number
  end
  local byte = ffi.new("unsigned char[1]")
  if ffi.C.read(STDIN, byte, 1) <= 0 then return "closed" end
  return "key", tonumber(byte[0])
end

return terminal
