-- SPDX-License-Identifier: MIT
-- What the system sets the program: open files, streams that are closed, a line without end, processes left behind.
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

local function pipeline_of(processes, fn, settings)
  return pipeline_file.write(([[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { processes = %d, %s },
  tide.file_sink { path = "-" }, %s }
]]):format(processes, fn or "function(message) return message end", settings or ""))
end

-- Runs a script with the program as $0 and the pipeline as $1: exit code, standard output, standard error.
local function shell(script, path)
  return process.run({ "/bin/sh", "-c", script, PROGRAM, path }, { timeout = 120 })
end

describe("the limit of open files", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("the limit of open files is raised as far as the processes need, where it may be", function()
    local path = pipeline_of(48)
    local code, out, text = shell('ulimit -Sn 200; echo one | "$0" run "$1" --input -', path)
    assert.same({ 0, "one\n" }, { code, out }, text)
  end)

  it("the limit of open files is named where it may not: 78", function()
    local path = pipeline_of(48)
    local code, _, text = shell('ulimit -n 200; echo one | "$0" run "$1" --input -', path)
    assert.equal(78, code, text)
    assert.is_truthy(text:find("Too many open files: this process may have 200; raise the limit (ulimit -n", 1, true),
      text)
  end)
end)

describe("a stream that is closed", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("a stream that is closed is no input: 66", function()
    local code, _, text = shell('"$0" run "$1" --input - <&-', pipeline_of(1))
    assert.equal(66, code, text)
    assert.is_truthy(text:find("standard input is closed", 1, true), text)
  end)
end)

describe("dead letters without a place", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("dead letters without a place are a matter of the configuration: 78", function()
    local code, _, text = shell('echo | "$0" run "$1" --input - --dead-letters /nowhere/letters', pipeline_of(1))
    assert.equal(78, code, text)
    assert.is_truthy(text:find("dlq file: cannot write /nowhere/letters: No such file or directory", 1, true), text)
  end)
end)

describe("a line that is too long", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("a line that is too long ends the run with 65, once what came before it is delivered", function()
    local script = '{ echo short; head -c 300000000 /dev/zero; } | "$0" run "$1" --input -'
    local code, out, text = shell(script, pipeline_of(1))
    assert.same({ 65, "short\n" }, { code, out }, text)
    assert.is_truthy(text:find("line 2 is longer than 256 MiB", 1, true), text)
  end)
end)

describe("the first process of a container", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  -- A subreaper is given orphans as process 1 is, and needs no privilege. It stays one through exec.
  it("the first process of a container takes the dead that scripts have left to it", function()
    local folder = pipeline_file.folder()
    local path = pipeline_of(1, ([[function(message)
      os.execute("sh -c 'echo $$ > %s/orphan' & :") -- the shell in between does not wait for it
      return message
    end]]):format(folder), 'trust = "full"')
    assert(os.execute(("mkfifo %s/fifo"):format(folder)) == 0)
    local pipe = assert(io.open(folder .. "/fifo", "r+"))
    local launch = [[local ffi = require "ffi"
      ffi.cdef "int prctl(int, unsigned long, ...); int execv(const char *, const char **);"
      assert(ffi.C.prctl(36, 1) == 0) -- PR_SET_CHILD_SUBREAPER
      ffi.C.execv(arg[1], ffi.new("const char *[6]", { arg[1], "run", arg[2], "--input", arg[3] })) ]]
    local launcher = folder .. "/launch.lua"
    local file = assert(io.open(launcher, "wb"))
    file:write(launch)
    file:close()
    local one = process.start { "luajit", launcher, PROGRAM, path, folder .. "/fifo" }
    pipe:write("go\n")
    pipe:flush()
    local function orphan()
      local found = io.open(folder .. "/orphan")
      local pid = found and found:read "*n"
      if found then found:close() end
      return pid
    end
    local pid = wait.until_true(function() return orphan() end, function() return one:stderr() end)
    wait.until_true(function() return not io.open(("/proc/%d/stat"):format(pid)) end,
      "the orphan to be gone, not a zombie")
    one:signal "TERM"
    assert.equal(0, one:wait(), one:stderr())
    pipe:close()
  end)
end)

describe("properties of librdkafka that do not go together", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.kafka_source { brokers = "nowhere:1", topic = "in", group = "g", start = "earliest", rdkafka = { %s } },
  tide.run_task_with_multiprocessing { function(message) return message end, processes = 1 },
  tide.produce { topic = "out", rdkafka = { %s } },
  tide.commit_offsets {} }
]]

  local function check(source, sink)
    return process.run { PROGRAM, "check", (pipeline_file.write(PIPELINE:format(source, sink))) }
  end

  it("properties of librdkafka that do not go together are refused by check, in librdkafka's words", function()
    local code, _, text = check("", '["max.in.flight"] = "7"')
    assert.equal(78, code, text)
    assert.is_truthy(text:find("produce: `max.in.flight` must be set <= 5 when `enable.idempotence`", 1, true), text)
    code, _, text = check('["session.timeout.ms"] = "6000", ["max.poll.interval.ms"] = "5000"', "")
    assert.equal(78, code, text)
    assert.is_truthy(text:find("kafka_source: `max.poll.interval.ms`must be >= `session.timeout.ms`", 1, true), text)
  end)

  it("properties of librdkafka that do not go together are looked at without the secrets, which may be"
    .. " elsewhere, and without a broker", function()
    local code, out, text = check('["security.protocol"] = "SASL_SSL", ["sasl.mechanism"] = "PLAIN", '
      .. '["sasl.username"] = "u", ["sasl.password"] = tide.secret_file "/nowhere/secret"', '["max.in.flight"] = "5"')
    assert.equal(0, code, text)
    assert.is_truthy(out:find(": good", 1, true))
    assert.is_nil(text:find("rdkafka", 1, true), text)
  end)
end)
