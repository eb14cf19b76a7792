-- SPDX-License-Identifier: MIT
-- tidemill try: messages on standard input, what a pipeline makes of them on standard output. Its files are changed
-- while it waits.
local cjson = require "cjson"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "tried" {
  tide.kafka_source { brokers = "nowhere:1", topic = "in", group = "g" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 1 %s },
  %s
  tide.produce { topic = "out" }, tide.commit_offsets {},
  dlq = tide.dlq { topic = "dead" } }
]]

local TRANSFORM = [[
local rule = require "rules.colour"
return function(message)
  if message.value == "drop" then return nil end
  if message.value == "crash" then require("ffi").cast("int *", 0)[0] = 1 end
  if message.value == "hang" then while true do end end
  if message.value == "retry" then return require("tidemill").retry "down" end
  message.json.colour = rule
  return message
end
]]

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local path, folder

local function prepare(options, steps)
  path, folder = pipeline_file.write(PIPELINE:format(options or "", steps or ""), { ["t.lua"] = TRANSFORM })
  os.execute("mkdir " .. folder .. "/rules")
  write(folder .. "/rules/colour.lua", 'return "red"\n')
end

-- Runs it on lines to their end: exit code, stdout, stderr.
local function try(text, ...)
  write(folder .. "/stdin", text)
  return process.run({ PROGRAM, "try", path, ... }, { stdin = folder .. "/stdin" })
end

after_each(function()
  process.stop_all()
  pipeline_file.remove_all()
end)

describe("tidemill try", function()
  it("shows the result of a message, and which members of its JSON were changed", function()
    prepare()
    local code, out, err = try '{"a":1,"colour":"blue"}\n{"a":2}\n'
    assert.same({ 0, "" }, { code, err })
    assert.equal('forwarded\n  result: other value\n    value   {"a":1,"colour":"red"}\n'
      .. '      ~ colour: "blue" -> "red"\n'
      .. 'forwarded\n  result: other value\n    value   {"a":2,"colour":"red"}\n      + colour: "red"\n', out)
  end)

  it("goes on after errors, crashes, hangs, and messages that are filtered or to be tried again", function()
    prepare()
    local function fates(text, ...)
      local code, out = try(text, ...)
      assert.equal(0, code)
      local list = {}
      for fate in ("\n" .. out):gmatch "\n(%l[^\n]*)" do list[#list + 1] = fate end
      return list, out
    end
    assert.equal("rejected: timeout", fates("hang\n{}\n", "--message-timeout", "300ms")[1])
    local all, out = fates "nonsense\ncrash\ndrop\nretry\n{}\n"
    assert.same({ "rejected: error", "rejected: crash", "filtered: no result", "to be tried again", "forwarded" }, all)
    assert.matches("t.lua:7: the value is not JSON.-stack traceback:\n%s+%[C%]: .-t.lua:7: in function", out)
    assert.matches("cause: SIGSEGV", out)
    assert.matches("to be tried again\n  down\n", out)
  end)

  it("takes a message with key and headers as tidemill record writes it, and those that are set by commands", function()
    prepare()
    local _, out = try('{"key":"k","headers":[{"name":"h","value":"1"}],"value_base64":"e30="}\n'
      .. ':key abc\n:header a b c\n{"value":"a member"}\n', "--json")
    local befores = {}
    for line in out:gmatch "[^\n]+" do befores[#befores + 1] = cjson.decode(line).before end
    assert.same({ { key = "k", headers = { { name = "h", value = "1" } }, value = "{}" },
      { key = "abc", headers = { { name = "a", value = "b c" } }, value = '{"value":"a member"}' } }, befores)
  end)

  it("shows each step, runs what waits for more messages, and shows one step when it is told to", function()
    prepare(", eager = false, max_batch_time = \"1h\"",
      'tide.run_task_with_multiprocessing { processes = 1, function(m) m.key = "new" return m end },')
    local _, out = try "{}\n:step 2\n:again\n:step 3\n"
    local heads = {}
    for head in ("\n" .. out):gmatch "\n(step %d)" do heads[#heads + 1] = head end
    assert.same({ "step 1", "step 2", "step 2" }, heads)
    assert.matches("result: other key\n    key     new\n", out)
  end)

  it("runs the last message again when the transform, or a module that it requires, is changed", function()
    prepare()
    assert(os.execute(("mkfifo %s/fifo"):format(folder)) == 0)
    local pipe = assert(io.open(folder .. "/fifo", "r+"))
    local one = process.start({ PROGRAM, "try", path }, { stdin = folder .. "/fifo" })
    wait.watch(one)
    local function until_shown(text)
      wait.until_true(function() return one:stdout():find(text, 1, true) end,
        function() return text .. " in " .. one:stdout() .. one:stderr() end)
    end
    pipe:write "{}\n"
    pipe:flush()
    until_shown '{"colour":"red"}'
    write(folder .. "/rules/colour.lua", 'return "green"\n')
    until_shown '{"colour":"green"}'
    write(folder .. "/t.lua", "return function(m) m.value = 'broken\n")
    wait.until_true(function() return one:stderr():find "unfinished string" end, function() return one:stderr() end)
    write(folder .. "/new", "return function(m) m.value = 'mended' return m end\n")
    os.rename(folder .. "/new", folder .. "/t.lua")
    until_shown "value   mended"
    pipe:write ":quit\n"
    pipe:close()
    assert.is_number(one:wait())
  end)

  it("waits for a file that a changed pipeline names and that is missing", function()
    prepare()
    assert(os.execute(("mkfifo %s/fifo"):format(folder)) == 0)
    local pipe = assert(io.open(folder .. "/fifo", "r+"))
    local one = process.start({ PROGRAM, "try", path }, { stdin = folder .. "/fifo" })
    wait.watch(one)
    local function until_said(text)
      wait.until_true(function() return (one:stdout() .. one:stderr()):find(text, 1, true) end,
        function() return text .. " in " .. one:stdout() .. one:stderr() end)
    end
    pipe:write "{}\n"
    pipe:flush()
    until_said '{"colour":"red"}'
    write(path, (PIPELINE:format("", ""):gsub("t%.lua", "other.lua")))
    until_said "other.lua: No such file"
    pipe:write ":step 1\n"
    pipe:flush()
    until_said "the pipeline is not loaded, so its steps are not known"
    write(folder .. "/other.lua", "return function(m) m.value = 'other' return m end\n")
    until_said "value   other"
    pipe:close()
  end)

  it("gives the terminal back after each change of a file", function()
    prepare()
    write(folder .. "/typed", "{}\n")
    local one = process.start({ "/bin/sh", "-c", ([[
      (cat %s/typed; while [ ! -e %s/over ]; do sleep 0.05; done; echo :quit) | script -qec "$0 try %s" /dev/null]])
      :format(folder, folder, path), PROGRAM })
    wait.watch(one)
    wait.until_true(function() return one:stdout():find('"red"', 1, true) end, function() return one:stdout() end)
    for i = 1, 5 do
      write(folder .. "/rules/colour.lua", ('return "colour%d"\n'):format(i))
      wait.until_true(function() return one:stdout():find(('"colour%d"'):format(i), 1, true) end,
        function() return one:stdout() .. one:stderr() end)
    end
    write(folder .. "/over", "")
    assert.equal(0, (one:wait()))
  end)

  it("takes a line of any length", function()
    prepare()
    local long = ("x"):rep(3000000)
    local code, out = try(('{"a":"%s"}\n{"a":1}'):format(long), "--json")
    assert.equal(0, code)
    assert.equal(2, select(2, out:gsub("\n", "")))
  end)

  it("steps through the messages of a file", function()
    prepare()
    write(folder .. "/in.jsonl", '{"topic":"in","key":"1","headers":[],"value":"{}"}\n{"topic":"in","key":null,'
      .. '"headers":[],"value":"drop"}\n')
    local code, out = try("", "--input", folder .. "/in.jsonl")
    assert.equal(0, code)
    assert.matches("^forwarded\n.*filtered: no result\n$", out)
  end)

  it("ends with the reason when the pipeline cannot be loaded, or the input is not there", function()
    prepare()
    write(folder .. "/t.lua", "return 5")
    local code, _, err = try "{}\n"
    assert.equal(78, code)
    assert.matches("t.lua", err)
    local missing, _, reason = try("", "--input", folder .. "/nothing")
    assert.equal(66, missing)
    assert.matches("nothing: No such file", reason)
    missing, _, reason = try("", "--input", folder)
    assert.equal(66, missing)
    assert.matches(": Is a directory", reason)
  end)
end)
