-- SPDX-License-Identifier: MIT
-- cli/try/console.lua: waits for a line of standard input and for changed files at once. On a terminal lines are edited
-- and remembered by GNU readline, where the Debian package lua-readline is installed; elsewhere they are plain lines.
local ffi = require("ffi")
local posix = require("tidemill.run.posix")
local signals = require("tidemill.cli.signals")
require("tidemill.cli.top.terminal") -- declares poll, read and what signals need

local console = {}
local Console = {}
Console.__index = Console

local STDIN, STDOUT = 0, 1
local POLLIN = 1
local MOMENT = 50 -- ms: files that are written so soon after each other are one change
local ROOM = 65536
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

--- `fd` becomes readable when files may have changed.
function console.new(fd)
  local self = setmetatable({ fd = fd, lines = {}, rest = "", bytes = ffi.new("char[?]", ROOM) }, Console)
  self.interactive = posix.isatty(STDIN) == 1 and posix.isatty(STDOUT) == 1
  if self.interactive then
    local found, readline = pcall(require, "readline")
    self.readline = found and readline or nil
    if found then open_signals(self) end
  end
  return self
end

-- Gives the terminal back, as it was.
local function release(self)
  self.readline.handler_remove()
  self.prompted = false
  ffi.C.sigprocmask(SIG_UNBLOCK, self.set, nil)
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
  self.readline.handler_install(prompt, function(line)
    release(self)
    if line and line ~= "" then self.readline.add_history(line) end
    self.lines[#self.lines + 1] = line or false
  end)
end

-- Plain lines; a last one without a newline counts.
local function read_lines(self)
  local size = tonumber(ffi.C.read(STDIN, self.bytes, ROOM))
  if size <= 0 then
    if self.rest ~= "" then self.lines[#self.lines + 1] = self.rest end
    self.lines[#self.lines + 1] = false
    self.rest = ""
    return
  end
  local text = self.rest .. ffi.string(self.bytes, size)
  self.rest = text:match("[^\n]*$")
  for line in text:gmatch("([^\n]*)\n") do self.lines[#self.lines + 1] = line end
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
      self.readline.read_char()
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
