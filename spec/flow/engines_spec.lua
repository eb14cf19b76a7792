-- SPDX-License-Identifier: MIT
-- Several engines under one supervisor, as far as no Kafka is needed for it.
local child = require "spec.support.child"
local cjson = require "cjson"
local http_stub = require "spec.support.http_stub"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.kafka_source { brokers = "127.0.0.1:1", topic = "t", group = "g", start = "earliest", instance = "me" },
  tide.run_task_with_multiprocessing { %s, processes = 2 },
  tide.produce { topic = "o" }, tide.commit_offsets {},
  broker_timeout = %q, %s
}]]

local function run(path, ...)
  return process.run { PROGRAM, "run", path, ... }
end

local function write(task, timeout, settings, files)
  local text = PIPELINE:format(task or "function(m) return m end", timeout or "30s", settings or "")
  return pipeline_file.write(text, files)
end

describe("several engines without a Kafka", function()
  after_each(function()
    process.stop_all()
    child.stop_all()
    pipeline_file.remove_all()
  end)

  it("several engines end with 78 when a transform does not load, which is said once", function()
    local path = write("'transform.lua'", nil, nil, { ["transform.lua"] = "error('no such table')" })
    local code, _, err = run(path, "--engines", "3")
    assert.equal(78, code)
    local _, times = err:gsub("no such table", "")
    assert.equal(1, times, err)
    assert.is_truthy(err:find("engine 1 ended with code 78: all engines end", 1, true), err)
  end)

  it("several engines end with 69 when the brokers are not reached at the start", function()
    local code, _, err = run(write(nil, "300ms"), "--engines", "2")
    assert.equal(69, code, err)
  end)

  it("several engines end with 143 when they are stopped while they load the transforms", function()
    local path = write("'endless.lua'", nil, nil,
      { ["endless.lua"] = "return { init = function() while true do end end, process = function(m) return m end }" })
    local one = process.start { PROGRAM, "run", path, "--engines", "2" }
    wait.until_true(function() return one:stderr():find("engine 1 starts: process", 1, true) end, "the first engine")
    local pids = process.descendants(one:pid())
    one:signal("TERM")
    assert.equal(143, one:wait(60), one:stderr())
    wait.until_true(function() return #process.living(pids) == 0 end, "the end of all")
  end)

  -- Nothing is known of the transforms at the start, and when all engines were lost.
  it("several engines are asked by reload until one of them says how it is, also when an answer is late", function()
    local path = write("'endless.lua'", nil, nil,
      { ["endless.lua"] = "return { init = function() while true do end end, process = function(m) return m end }" })
    local pid = process.start({ PROGRAM, "run", path, "--engines", "2" }):pid()
    local nothing, number = { version = 1, name = "x", pid = pid, engines = {} }, 0
    local function told(revision, state, last)
      return { version = 1, name = "x", pid = pid, engines = {}, revision = revision,
        reload = { state = state, last = last and { number = last, outcome = "done", text = "" } } }
    end
    local answers = { nothing, nothing, told(1, "none"), nothing, "silence", told(1, "loading"), told(2, "watching", 1),
      nothing, told(2, "none", 1) }
    local port = http_stub.start(function()
      number = math.min(number + 1, #answers)
      if answers[number] == "silence" then return nil end
      return 200, cjson.encode(answers[number])
    end)
    assert.same({ 0, "revision 2 of the transforms runs now\nrevision 2 of the transforms stays\n", "" },
      { process.run { PROGRAM, "reload", "127.0.0.1:" .. port } })
  end)

  it("several engines are told by check, with all the processes there are", function()
    local path = write(nil, nil, "engines = 3")
    local code, out, err = process.run { PROGRAM, "check", path }
    assert.equal(0, code, err)
    assert.is_truthy(out:find("3 engines, each with 2 worker processes: 6 in all; members me-1 to me-3 of the group", 1,
      true), out)
  end)

  it("several engines are refused by name where the flags say files", function()
    local path = write()
    local code, _, err = run(path, "--engines", "2", "--input", "x")
    assert.same({ 64, true }, { code, err:find("--engines and --input exclude each other", 1, true) ~= nil })
    code, _, err = run(path, "--engines", "0")
    assert.equal(64, code)
    assert.is_truthy(err:find("--engines 0: must be a whole number from 1 to 64, or auto", 1, true), err)
  end)

  it("several engines of the file are one where the flags say files, which is told", function()
    local path, folder = write(nil, nil, "engines = 3", { ["input.txt"] = "a\nb\n" })
    local code, out, err = run(path, "--input", folder .. "/input.txt", "--log-level", "error")
    assert.same({ 0, "a\nb\n" }, { code, out })
    assert.is_truthy(err:find("engines = 3: with files, or a mock, in place of Kafka one engine runs the pipeline", 1,
      true), err)
  end)
end)
