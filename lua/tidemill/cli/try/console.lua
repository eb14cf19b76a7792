-- SPDX-License-Identifier: MIT
-- cli/try/console.lua: waits for a line of standard input and for changed files at once. On a terminal lines are edited
-- and remembered by GNU readline, where its library is installed; elsewhere they are plain lines. The library is called
-- directly, since the binding lua-readline closes a stream that the library still writes to.
local ffi = require("ffi")
local posix = require("tidemill.run.posix")
local signals = require("tidemill.cli.signals")
require("tidemill.cli.top.terminal") -- declares poll, read and what signals need

ffi.cdef [[
void rl_callback_handler_install(const char *prompt, void (*on_line)(char *line));
void rl_callback_read_char(void);
void rl_callback_handler_remove(void);
void add_history(const char *line);
void free(void *memory);
]]

local console = {}
local Console = {}
Console.__index = Console

local STDIN, STDOUT = 0, 1
local POLLIN = 1
local MOMENT = 50 -- ms: files that are written so soon after each other are one change
local ROOM = 65536
local READLINE = ("lib%s.so.%d"):format("readline", 8) -- not in the list of packages, since nothing needs it
local SIG_BLOCK, SIG_UNBLOCK, NONBLOCK_CLOEXEC = 0, 1, 0x80800
local ENDS = { signals.HUP, signals.INT, signals.QUIT, signals.TERM }

-- While readline has the terminal these signals are read from a signalfd: ended by one, the program would leave the
-- terminal as readline has set it.
local function open_signals(self)
  self.set = ffi.new("char[128]")
  ffi.C.sigemptyset(self.set)
  for _, number in ipairs(ENDS) do ffi.C.sigaddset(self.set, number) end
  self.signal_fd = ffi.C.signalfd(-1, self.set, NONBLOCK_CLOEXEC)
end

-- Gives the terminal back, as it was.
local function release(self)
  self.readline.rl_callback_handler_remove()
  self.prompted = false
  ffi.C.sigprocmask(SIG_UNBLOCK, self.set, nil)
end

-- What readline calls with a line; NULL at the end of the input. A pasted text may be several lines.
local function on_line(self, line)
  release(self)
  if line == nil then
    self.lines[#self.lines + 1] = false
    return
  end
  local text = ffi.string(line)
  if text ~= "" then self.readline.add_history(line) end
  ffi.C.free(line)
  for part in (text .. "\n"):gmatch("[^\n]*\n") do self.lines[#self.lines + 1] = part:sub(1, -2) end
end

--- `fd` becomes readable when files may have changed.
function console.new(fd)
  local self = setmetatable({ fd = fd, lines = {}, parts = {}, bytes = ffi.new("char[?]", ROOM) }, Console)
  self.interactive = posix.isatty(STDIN) == 1 and posix.isatty(STDOUT) == 1
  if self.interactive then
    local found, readline = pcall(ffi.load, READLINE)
    self.readline = found and readline or nil
    if found then
      self.on_line = ffi.cast("void (*)(char *)", function(line) on_line(self, line) end)
      open_signals(self)
    end
  end
  return self
end

--- Shows that a line is waited for. `prompt`: its text.
function Console:prompt(prompt)
  if not self.interactive or #self.lines > 0 then return end
  io.stdout:flush()
  if not self.readline then
    io.stdout:write(prompt)
    io.stdout:flush()
    return
  end
  if self.prompted then release(self) end
  ffi.C.sigprocmask(SIG_BLOCK, self.set, nil)
  self.prompted = true
  self.readline.rl_callback_handler_install(prompt, self.on_line)
end

-- Lets readline take what was typed. Compiled code must not call what calls Lua back.
local function read_typed(self)
  self.readline.rl_callback_read_char()
end
jit.off(read_typed)

-- Plain lines; a last one without a newline counts. A line may come in many pieces.
local function read_lines(self)
  local size = tonumber(ffi.C.read(STDIN, self.bytes, ROOM))
  local lines, parts, from = self.lines, self.parts, 1
  if size <= 0 then
    if parts[1] then lines[#lines + 1] = table.concat(parts) end
    lines[#lines + 1] = false
    return
  end
  local text = ffi.string(self.bytes, size)
  for at in text:gmatch("()\n") do
    parts[#parts + 1] = text:sub(from, at - 1)
    lines[#lines + 1] = table.concat(parts)
    parts, from = {}, at + 1
  end
  if from <= size then parts[#parts + 1] = text:sub(from) end
  self.parts = parts
end

-- Waits until there is something to read. Returns what has it: stdin, files, signals.
local function wait(self)
  local ready = ffi.new("struct tide_pollfd[3]", { { fd = STDIN, events = POLLIN }, { fd = self.fd, events = POLLIN },
    { fd = self.prompted and self.signal_fd or -1, events = POLLIN } })
  ffi.C.poll(ready, 3, -1)
  return ready[0].revents ~= 0, ready[1].revents ~= 0, ready[2].revents ~= 0
end

-- What is written to several files at once is one change: waits until it is quiet for a moment.
local function calm(files)
  local path = files:changed()
  while path do
    ffi.C.poll(nil, 0, MOMENT)
    local another = files:changed()
    if not another then return path end
    path = another
  end
end

--- Waits for what comes next: "line" and its text; "changed" and the path of a file; "end" of the input.
--- files: cli/try/files.lua. While lines wait, changes are not looked at before them.
function Console:next(files)
  while true do
    local line = table.remove(self.lines, 1)
    if line then return "line", line end
    if line == false then return "end" end
    local typed, written, signalled = wait(self)
    if signalled then return "end" end -- close() lets the signal do its work
    local path = written and calm(files)
    if path then return "changed", path end
    if typed and self.prompted then
      read_typed(self)
    elseif typed then
      read_lines(self)
    end
  end
end

--- Takes the prompt away before something else is written.
function Console:clear()
  if not self.interactive then return end
  if self.prompted then release(self) end
  io.stdout:write("\r\27[K")
end

--- Leaves the terminal as it was. A signal that came meanwhile ends the program here.
function Console:close()
  if self.interactive then
    io.stdout:write("\n")
    io.stdout:flush()
  end
  if self.prompted then release(self) end
end

return console
