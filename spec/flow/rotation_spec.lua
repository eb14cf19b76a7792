-- SPDX-License-Identifier: MIT
-- Files that are moved away or emptied while they are written (logrotate), and the signals that go with it.
local ffi = require "ffi"
require "spec.support.child" -- declares close
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

ffi.cdef [[
int posix_openpt(int flags);
int grantpt(int fd);
int unlockpt(int fd);
char *ptsname(int fd);
]]

local PROGRAM = require("spec.support.program").path

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { processes = 1, max_batch_size = 1, function(message)
    if message.value:find "^bad" then error("no good") end
    return message
  end },
  tide.file_sink { path = "-" } }
]]

local pipe, folder, one

local function read(name)
  local file = io.open(folder .. "/" .. name, "rb")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text
end

local function feed(text)
  pipe:write(text)
  pipe:flush()
end

local function until_found(name, pattern)
  wait.until_true(function()
    if not one:running() then error("it has ended: " .. one:stderr()) end
    return read(name):find(pattern)
  end, function() return pattern .. " in " .. name .. "; stderr: " .. one:stderr() end)
end

local function until_said(text)
  wait.until_true(function() return one:stderr():find(text, 1, true) end, function() return one:stderr() end)
end

-- A run that reads a named pipe which stays open. `tail` is what the shell appends; `sub`: a folder to make.
local function start(tail, sub)
  local path
  path, folder = pipeline_file.write(PIPELINE)
  if sub then assert(os.execute(("mkdir %s/%s"):format(folder, sub)) == 0) end
  assert(os.execute(("mkfifo %s/fifo"):format(folder)) == 0)
  pipe = assert(io.open(folder .. "/fifo", "r+"))
  local script = ('cd "%s" && exec "$0" run %s --input fifo --report report %s'):format(folder, path, tail)
  one = process.start { "/bin/sh", "-c", script, PROGRAM }
end

local function stop()
  if pipe then pipe:close() end
  pipe = nil
  process.stop_all()
  pipeline_file.remove_all()
end

describe("a file that is written", function()
  after_each(stop)

  it("a file that is written and emptied meanwhile goes on from its new end, without a hole", function()
    for _, tail in ipairs { "--output out --dead-letters letters", "--dead-letters letters > out" } do
      start(tail)
      feed("first\nbad\n")
      until_found("out", "first\n")
      until_found("letters", "\n")
      for _, name in ipairs { "out", "letters" } do assert(io.open(folder .. "/" .. name, "wb")):close() end
      feed("second\nbad\n")
      until_found("out", "second\n")
      until_found("letters", "\n")
      one:signal "TERM"
      assert.equal(0, one:wait(), one:stderr())
      assert.equal("second\n", read "out")
      assert.equal("{", read("letters"):sub(1, 1))
    end
  end)

  it("a file that is written is opened anew on HUP: what was moved away is whole, what comes goes to"
    .. " the new one", function()
    start "--output out --dead-letters letters"
    feed("first\nbad\n")
    until_found("out", "first\n")
    until_found("letters", "\n")
    for _, name in ipairs { "out", "letters" } do
      assert(os.rename(folder .. "/" .. name, folder .. "/" .. name .. ".1"))
    end
    one:signal "HUP"
    until_said "opened anew"
    feed("second\nbad\n")
    until_found("out", "second\n")
    until_found("letters", "\n")
    one:signal "HUP" -- nothing was moved: what is there stays
    wait.until_true(function() return select(2, one:stderr():gsub("opened anew", "")) == 2 end, "the second HUP")
    feed "third\n"
    until_found("out", "third\n")
    one:signal "TERM"
    assert.equal(0, one:wait(), one:stderr())
    assert.equal("first\n", read "out.1")
    assert.equal("second\nthird\n", read "out")
    assert.equal(1, select(2, read("letters.1"):gsub("\n", "")))
    assert.equal(1, select(2, read("letters"):gsub("\n", "")))
    assert.is_truthy(read("report"):find('"read": 5', 1, true), read "report")
  end)

  it("a file is written on where HUP finds no place for a new one, and that is told", function()
    start("--output d/out", "d")
    feed "first\n"
    until_found("d/out", "first\n")
    assert(os.rename(folder .. "/d", folder .. "/e"))
    one:signal "HUP"
    until_said "SIGHUP: cannot write d/out: No such file"
    feed "second\n"
    until_found("e/out", "first\nsecond\n")
    one:signal "TERM"
    assert.equal(0, one:wait(), one:stderr())
  end)
end)

describe("a signal", function()
  after_each(stop)

  it("a signal QUIT ends as TERM does, with the report; USR2 is told and changes nothing", function()
    start "--output out"
    feed "first\n"
    until_found("out", "first\n")
    one:signal "USR2"
    until_said "SIGUSR2 means nothing"
    feed "second\n"
    until_found("out", "second\n")
    one:signal "QUIT"
    assert.equal(0, one:wait(), one:stderr())
    assert.is_truthy(one:stderr():find("SIGQUIT: finishing", 1, true), one:stderr())
    assert.is_truthy(read("report"):find('"read": 2', 1, true), read "report")
  end)

  it("a signal is answered, or has no say, before there is an engine too", function()
    local path, at = pipeline_file.write([[
      local ffi = require "ffi"
      ffi.cdef "int getpid(void); int kill(int pid, int number);"
      for number in (os.getenv "EARLY" or ""):gmatch "%d+" do ffi.C.kill(ffi.C.getpid(), tonumber(number)) end
      ]] .. PIPELINE)
    local file = assert(io.open(at .. "/in", "wb"))
    file:write "first\n"
    file:close()
    local function run(early)
      local code, out, err = process.run({ PROGRAM, "run", path, "--input", at .. "/in" }, { env = { EARLY = early } })
      return { code, out }, err
    end
    local ended, words = run "1 10 12 14" -- HUP, USR1, USR2, ALRM
    assert.same({ 0, "first\n" }, ended, words)
    ended, words = run "3"
    assert.same({ 128 + 3, "" }, ended, words)
    assert.is_truthy(words:find("stopped by a signal while the transforms were loaded", 1, true), words)
    for _, number in ipairs { 2, 15 } do -- those end it as they end anything
      ended, words = run(tostring(number))
      assert.same({ 128 + number, "" }, ended, words)
    end
  end)

  it("a signal HUP from a terminal, which is closed then, ends as TERM does", function()
    local O_RDWR_NOCTTY = 0x102
    local master = ffi.C.posix_openpt(O_RDWR_NOCTTY)
    assert(master >= 0 and ffi.C.grantpt(master) == 0 and ffi.C.unlockpt(master) == 0)
    start("--output out 2> " .. ffi.string(ffi.C.ptsname(master)))
    feed "first\n"
    until_found("out", "first\n")
    one:signal "HUP"
    local code = one:wait()
    ffi.C.close(master)
    assert.equal(0, code)
    assert.equal("first\n", read "out")
    assert.is_truthy(read("report"):find('"read": 1', 1, true), read "report")
  end)

  it("a signal HUP is left alone under nohup", function()
    start "--output out"
    one:stop()
    pipe:close()
    local path
    path, folder = pipeline_file.write(PIPELINE)
    assert(os.execute(("mkfifo %s/fifo"):format(folder)) == 0)
    pipe = assert(io.open(folder .. "/fifo", "r+"))
    one = process.start { "nohup", PROGRAM, "run", path, "--input", folder .. "/fifo", "--output", folder .. "/out" }
    feed "first\n"
    until_found("out", "first\n")
    one:signal "HUP"
    one:signal "USR2"
    until_said "USR2"
    assert.is_nil(one:stderr():find("HUP", 1, true))
  end)

  it("a signal to the group of processes reaches the engine alone: no worker is lost", function()
    start "--output out"
    feed "first\n"
    until_found("out", "first\n")
    for _, number in ipairs { 3, 10, 12, 1 } do ffi.C.kill(-one:pid(), number) end
    assert.equal(0, one:wait(), one:stderr())
    assert.is_nil(one:stderr():find("was killed", 1, true), one:stderr())
    assert.is_truthy(read("report"):find('"read": 1', 1, true), read "report")
  end)
end)
