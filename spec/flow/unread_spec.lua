-- SPDX-License-Identifier: MIT
-- Streams that nobody reads: the engine goes on and obeys signals, nothing is called failed that only waits.
local cjson = require "cjson"
local files = require "spec.house.files"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path
local LETTERS = 2000 -- many times what a pipe holds, with their texts

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { processes = 1, function(message)
    if message.value:find "^log" then tide.log.warn(("w"):rep(500)) return message end
    error(("no good "):rep(20))
  end },
  tide.file_sink { path = "-" } }
]]

local folder, one

local function new()
  local path
  path, folder = pipeline_file.write(PIPELINE)
  return path
end

local function write_lines(word, count)
  local file = assert(io.open(folder .. "/in", "wb"))
  for i = 1, count do file:write(word, i, "\n") end
  file:close()
end

-- A named pipe that is open at both ends and that nobody reads yet.
local function named_pipe()
  assert(os.execute(("mkfifo %s/unread"):format(folder)) == 0)
  return assert(io.open(folder .. "/unread", "r+b"))
end

-- All lines of the pipe until `count` of them are there that `is` likes.
local function read_lines(pipe, count, is)
  local lines, found = {}, 0
  while found < count do
    local line = assert(pipe:read "*l")
    lines[#lines + 1] = line
    if is(line) then found = found + 1 end
  end
  return lines
end

local function shell(path, tail)
  local script = ('cd "%s" && exec "$0" run "$1" --input in --output out %s'):format(folder, tail)
  return { "/bin/sh", "-c", script, PROGRAM, path }
end

local function letter_of(line)
  local done, found = pcall(cjson.decode, line)
  return done and type(found) == "table" and found.original_offset
end

describe("standard error that nobody reads", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("standard error that nobody reads loses lines of the log, and holds up neither messages nor the end", function()
    local path = new()
    write_lines("log", LETTERS)
    local pipe = named_pipe()
    one = process.start(shell(path, "--report report 2> unread"))
    assert.equal(0, one:wait())
    assert.equal(LETTERS, select(2, files.read(folder .. "/out"):gsub("\n", "")))
    assert.is_truthy(files.read(folder .. "/report"):find(('"read": %d'):format(LETTERS), 1, true))
    pipe:close()
  end)

  it("standard error that nobody reads is told of the lines that were lost, once it is read again", function()
    local path = new()
    assert(os.execute(("mkfifo %s/in"):format(folder)) == 0)
    local input = assert(io.open(folder .. "/in", "r+b"))
    local pipe = named_pipe()
    one = process.start(shell(path, "2> unread"))
    for i = 1, LETTERS do input:write("log", i, "\n") end
    input:flush()
    wait.until_true(function()
      local out = io.open(folder .. "/out", "rb")
      local text = out and out:read "*a" or ""
      if out then out:close() end
      return text:find(("log%d\n"):format(LETTERS), 1, true)
    end, "all messages to be complete")
    local lines = read_lines(pipe, 1, function(line) return line:find "log lines were lost" end)
    for _, line in ipairs(lines) do
      assert.is_truthy(line:find "^%d+%-%d+%-%d+T[%d:.]+Z %l+ ", line) -- none is torn
    end
    one:signal "TERM"
    assert.equal(0, one:wait())
    pipe:close()
    input:close()
  end)

  it("standard error that nobody reads lets dead letters wait: each comes once and whole when it is"
    .. " read, and none is said to have failed", function()
    for _, tail in ipairs { "--dead-letters - 2> unread", "--dead-letters unread 2> log" } do
      local path = new()
      write_lines("bad", LETTERS)
      local pipe = named_pipe()
      one = process.start(shell(path, tail))
      local seen = {}
      local lines = read_lines(pipe, LETTERS, letter_of)
      for _, line in ipairs(lines) do
        local offset = letter_of(line)
        if offset then
          assert.is_nil(seen[offset])
          seen[offset] = true
        end
        assert.is_nil(line:find("did not take", 1, true), line)
      end
      assert.equal(0, one:wait())
      pipe:close()
    end
  end)

  it("standard error that nobody reads does not hold up the end: dead letters that wait there stay"
    .. " uncommitted", function()
    local path = new()
    write_lines("bad", LETTERS)
    local text = files.read(path):gsub('"x" {', '"x" { join_timeout = "100ms",', 1)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    local pipe = named_pipe()
    one = process.start(shell(path, "--dead-letters - 2> unread"))
    assert.is_truthy(read_lines(pipe, 10, letter_of))
    one:signal "TERM"
    assert.equal(0, one:wait())
    pipe:close()
  end)

  it("standard error that nobody reads ends the pipeline when its reader is gone and it has dead"
    .. " letters: 75", function()
    local path = new()
    write_lines("bad", LETTERS)
    local script = ('cd "%s" && { "$0" run "$1" --input in --output out --dead-letters - 2>&1; echo $? > code; } '
      .. "| head -1"):format(folder)
    local code = process.run { "/bin/sh", "-c", script, PROGRAM, path }
    assert.equal(0, code)
    assert.equal("75\n", files.read(folder .. "/code"))
  end)
end)

describe("a named pipe that nobody reads", function()
  after_each(pipeline_file.remove_all)

  it("is no dlq: 78, and nothing is taken for a dead letter that would be lost with the pipe", function()
    local path = new()
    write_lines("bad", 3)
    assert(os.execute(("mkfifo %s/unread"):format(folder)) == 0)
    local code, _, text = process.run(shell(path, "--dead-letters unread"))
    assert.equal(78, code, text)
    assert.is_truthy(text:find("dlq file: cannot write unread: nobody reads the pipe", 1, true), text)
  end)
end)

describe("a stream that others made non-blocking", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("a stream that others made non-blocking takes all output and all dead letters: each line once and"
    .. " whole", function()
    local F_SETFL, O_RDWR_NONBLOCK = 4, 0x802
    local path = new()
    write_lines("bad", LETTERS)
    local pipe = named_pipe()
    -- The shell hands on what it has inherited: `nonblock` sets the flag on it before the program is there.
    local set = ("luajit -e 'require([[ffi]]).cdef[[int fcntl(int, int, ...);]] require([[ffi]]).C.fcntl(2, %d, "
      .. "require([[ffi]]).cast([[int]], %d))'"):format(F_SETFL, O_RDWR_NONBLOCK)
    local script = ('cd "%s" && exec 2<> unread && %s && exec "$0" run "$1" --input in --output out --dead-letters -')
      :format(folder, set)
    one = process.start { "/bin/sh", "-c", script, PROGRAM, path }
    local count = 0
    for _, line in ipairs(read_lines(pipe, LETTERS, letter_of)) do
      assert.is_nil(line:find("did not take", 1, true), line)
      if letter_of(line) then count = count + 1 end
    end
    assert.equal(LETTERS, count)
    assert.equal(0, one:wait())
    pipe:close()
  end)
end)
