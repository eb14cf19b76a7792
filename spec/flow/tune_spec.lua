-- SPDX-License-Identifier: MIT
-- `tidemill tune` on files. What it finds is not judged here (scripts/bench/tune.lua does): runs are very short.
local cjson = require "cjson"
local process = require "spec.support.process"
local program = require "spec.support.program"

local WITH_STEP = [[
local tide = require "tidemill"
return tide.pipeline "tuned" {
  tide.kafka_source { brokers = "127.0.0.1:1", topic = "in", group = "g" },
  tide.run_task_with_multiprocessing { function(message)
    if message.value:find "bad" then error "bad message" end
    return message
  end, max_batch_size = 10, processes = 1 },
  tide.produce { topic = "out" },
}
]]

local TWO_STEPS = [[
local tide = require "tidemill"
local pool = tide.pool { processes = 2 }
return tide.pipeline "tuned" {
  tide.kafka_source { brokers = "127.0.0.1:1", topic = "in", group = "g" },
  tide.run_task_with_multiprocessing { function(message) return message end, pool = pool },
  tide.run_task_with_multiprocessing { function(message) return message end, processes = 1 },
  tide.healthcheck { path = %q },
}
]]

local WITHOUT = [[
local tide = require "tidemill"
return tide.pipeline "plain" {
  tide.kafka_source { brokers = "127.0.0.1:1", topic = "in", group = "g" },
  tide.run_task { function(message) return message end },
  tide.produce { topic = "out" },
}
]]

local folder, input

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

local function pipeline(text)
  return write(folder .. "/pipeline.lua", text)
end

local function tune(file, ...)
  return process.run { program.path, "tune", file, "--seconds", "0.1", ... }
end

describe("tidemill tune", function()
  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    local lines = {}
    for i = 1, 200 do lines[i] = ("message %d"):format(i) end
    lines[201] = "bad"
    input = write(folder .. "/input", table.concat(lines, "\n") .. "\n")
  end)

  after_each(function()
    process.stop_all()
    os.execute("rm -rf " .. folder)
  end)

  it("prints a row for each run, and then the lines to paste with what limits the step", function()
    local code, out, err = tune(pipeline(WITH_STEP), "--input", input, "--runs", "4")
    assert.equal(0, code, err)
    local lines = {}
    for line in out:gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.truthy(lines[1]:find "^run +step +input block +batch .*messages/s +CPU.* +memory +p50 ms +p99 ms +limit")
    assert.truthy(lines[2]:find "^ +1 +1 +auto +10 +1s +auto +1 +1 +[%d,]+ +[%d.]+ +%d+ MiB +[%d.]+ +[%d.]+ +%l")
    assert.truthy(out:find "%-%- step 1: ")
    assert.truthy(out:find "%-%- what limits it now: %l")
    assert.truthy(out:find("-- " .. folder .. "/pipeline.lua:4, tide.run_task_with_multiprocessing", 1, true))
    local values = assert(loadstring("return {" .. out:match("{ %.%.%. }\n(.*)$") .. "}"))()
    for _, name in ipairs { "max_batch_size", "max_batch_time", "processes", "prefetch_batches" } do
      assert.is_not_nil(values[name], name)
    end
    assert.truthy(err:find "tuning 1 step, with at most 4 runs")
  end)

  it("writes JSON lines for machines, and counts dead letters as it discards them", function()
    local code, out, err = tune(pipeline(WITH_STEP), "--input", input, "--runs", "2", "--json")
    assert.equal(0, code, err)
    local objects = {}
    for line in out:gmatch "[^\n]+" do objects[#objects + 1] = cjson.decode(line) end
    local first, last = objects[1], objects[#objects]
    assert.same({ 1, 1, "start", 10 }, { first.run, first.step, first.stage, first.settings.max_batch_size })
    assert.is_true(first.rate > 0 and first.p99 >= first.p50 and first.memory > 0 and first.cpu > 0)
    assert.is_true(first.rejected > 0 and first.rejected < 0.02)
    assert.same({ 1, 4 }, { last.steps[1].step, last.steps[1].line })
    assert.is_nil(last.steps[1].text:find(" 0 % of it on the processor", 1, true))
  end)

  it("tunes several steps in order, names a shared pool and touches no healthcheck file", function()
    local health = folder .. "/alive"
    local code, out, err = tune(pipeline(TWO_STEPS:format(health)), "--input", input, "--runs", "1")
    assert.equal(0, code, err)
    assert.truthy(out:find "step 1: .*line 2, tide.pool { ... }: processes = %d.*step 2: .*\nprocesses = %d")
    assert.is_nil(io.open(health))
  end)

  it("finds one number of processes for a pool that two steps share", function()
    local slow = "for _ = 1, 3e5 do end return message end"
    local shared = TWO_STEPS:format(folder .. "/alive"):gsub("processes = 1 }", "pool = pool }")
      :gsub("return message end", slow)
    local code, out, err = tune(pipeline(shared), "--input", input, "--runs", "4", "--json")
    assert.equal(0, code, err)
    local steps = cjson.decode(out:match "([^\n]+)\n$").steps
    assert.equal(steps[1].settings.processes, steps[2].settings.processes)
  end)

  it("reads what `tidemill record` wrote", function()
    local recorded = write(folder .. "/recorded", ('{"topic":"in","key":"k","headers":[{"name":"a","value":"b"}],'
      .. '"value":"x"}\n'):rep(50))
    local code, out, err = tune(pipeline(WITH_STEP), "--input", recorded, "--input-format", "json", "--runs", "1")
    assert.equal(0, code, err)
    assert.truthy(out:find "what limits it now")
  end)

  it("refuses a pipeline without a step that it could tune", function()
    local code, out, err = tune(pipeline(WITHOUT), "--input", input)
    assert.same({ 78, "" }, { code, out })
    assert.truthy(err:find("pipeline.lua: there is nothing to tune: the pipeline has no run_task_with_multiprocessing",
      1, true))
  end)

  it("names what is wrong with its flags and its input", function()
    local file = pipeline(WITH_STEP)
    for _, case in ipairs {
      { 64, "--start is for a topic", "--input", input, "--start", "earliest" },
      { 64, "--start latest: has no backlog behind it", "--start", "latest" },
      { 64, "--input-format needs --input", "--input-format", "json" },
      { 64, "the pipeline itself uses this topic", "--output-topic", "out" },
      { 64, "the pipeline itself uses this topic", "--output-topic", "in" },
      { 64, "--seconds x: not a number", "--seconds", "x" },
      { 64, "--seconds 0: must be from 0.1 to 600", "--seconds", "0" },
      { 64, "--max-memory 1KiB: must be from 1MiB to ", "--max-memory", "1KiB" },
      { 64, "--max-processes 513: must be a whole number from 1 to 512", "--max-processes", "513" },
      { 64, "--max-memory 1TB: not a size", "--max-memory", "1TB" },
      { 66, "no such file", "--input", folder .. "/none" },
      { 66, "has no messages", "--input", "/dev/null" },
      { 66, folder .. ": Is a directory", "--input", folder },
      { 65, "input:1: no message as `tidemill record` writes it", "--input", input, "--input-format", "json" },
    } do
      local code, out, err = tune(file, unpack(case, 3))
      assert.same({ case[1], "" }, { code, out }, err)
      assert.truthy(err:lower():find(case[2]:lower(), 1, true), err)
    end
  end)

  it("ends at once where no message becomes complete, or all become dead letters", function()
    local function with(fn)
      return pipeline((WITH_STEP:gsub("function%(message%).-\n  end,", function() return fn .. "," end)))
    end
    local code, out, err = tune(with "function() error 'no such field' end", "--input", input)
    assert.same({ 65, "" }, { code, out }, err)
    assert.truthy(err:find "run 1 failed: all %d+ messages became dead letters, the last one by .*no such field", err)
    code, out, err = tune(with "function() while true do end end", "--input", input)
    assert.same({ 65, "" }, { code, out }, err)
    local seconds = tonumber(err:match "run 1 failed: no message became complete within ([%d.]+) s: a function hangs")
    assert.is_true(seconds and seconds >= 0.5, err) -- a busy machine may look later
  end)

  it("says why the first run failed, with its exit code", function()
    write(folder .. "/transform.lua", 'error "this transform cannot be loaded"')
    local file = pipeline((WITH_STEP:gsub("{ function%(message%)", "{ 'transform.lua', function(message)")))
    local code, out, err = tune(file, "--input", input)
    assert.equal(78, code, err)
    assert.equal("", out)
    assert.truthy(err:find "run 1 failed: .*transform.lua:1: this transform cannot be loaded")
  end)
end)
