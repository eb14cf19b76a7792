-- SPDX-License-Identifier: MIT
-- tuning/child.lua: runs a function in a forked process and brings its answer back: an engine forks its zygote only
-- while its process has one thread, and leaves nothing behind when its process ends.
local ffi = require("ffi")
local cjson = require("cjson")
local posix = require("tidemill.run.posix")

local child = {}

local PR_SET_PDEATHSIG, SIGKILL = 1, 9
local SIZE = 65536

local function write_all(fd, text)
  local at = 0
  while at < #text do
    local count = tonumber(posix.write(fd, ffi.cast("const char *", text) + at, #text - at))
    if count <= 0 then return end
    at = at + count
  end
end

-- The answer is one line: the workers of the child have the pipe too, so its end comes later than the answer.
local function read_line(fd)
  local buffer, parts = ffi.new("char[?]", SIZE), {}
  while true do
    local count = tonumber(posix.read(fd, buffer, SIZE))
    if count > 0 then parts[#parts + 1] = ffi.string(buffer, count) end
    local line = (count <= 0 or parts[#parts]:find("\n", 1, true)) and table.concat(parts):match("^([^\n]*)\n")
    if line or count == 0 then return line end
    if count < 0 and ffi.errno() ~= 4 then return nil end -- EINTR
  end
end

local function answer_of(fn)
  local done, answer = xpcall(fn, debug.traceback)
  if not done then answer = { failed = answer, code = 70 } end
  return cjson.encode(answer) .. "\n"
end

--- Returns what fn() returns in a process of its own, a table of texts and numbers; { failed = text, code = exit code }
--- when there is none.
function child.run(fn)
  local fds, status = ffi.new("int[2]"), ffi.new("int[1]")
  io.stdout:flush()
  io.stderr:flush()
  if posix.pipe(fds) ~= 0 then return { failed = "no pipe for a trial", code = 71 } end
  local pid = posix.fork()
  if pid == 0 then
    posix.prctl(PR_SET_PDEATHSIG, ffi.cast("unsigned long", SIGKILL))
    posix.close(fds[0])
    write_all(fds[1], answer_of(fn))
    posix._exit(0)
  end
  posix.close(fds[1])
  local line = pid > 0 and read_line(fds[0])
  posix.close(fds[0])
  if pid > 0 then posix.waitpid(pid, status, 0) end
  if not line then return { failed = "a trial ended without a result", code = 70 } end
  return cjson.decode(line)
end

return child
