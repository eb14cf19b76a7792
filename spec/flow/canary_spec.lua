-- SPDX-License-Identifier: MIT
-- A canary: before new transforms take over, a share of the batches is run by them as well. What they make of it is
-- thrown away, and what speaks against them refuses the reload.
local cjson = require "cjson"
local http_client = require "tidemill.cli.http_client"
local piped_run = require "spec.support.piped_run"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 2, max_batch_size = 5 },
  tide.file_sink { path = "-" },
  trust = "full",
  reload = tide.reload { canary = "100%", canary_messages = 20, max_rejected = 3, max_rejected_ratio = 0.1 } }
]]
local ONE = 'return function(m) m.value = "one " .. m.value return m end'

local write, read = piped_run.write, piped_run.read
local run, sent

local function until_said(text) return piped_run.until_said(run, text) end

local function start(pipeline, transform, files)
  files, sent = files or {}, 0
  files["t.lua"] = transform or ONE
  run = piped_run.start(pipeline or PIPELINE,
    "--report FOLDER/report.json --dead-letters FOLDER/letters --metrics-addr 0", files)
  until_said "partitions assigned"
end

local function feed(count) sent = piped_run.feed_numbers(count) end

-- Messages in both, and the words before them in the output.
local function left()
  return select(2, read("out"):gsub("\n", "")) + select(2, read("letters"):gsub("\n", ""))
end

local function until_all_left()
  wait.until_true(function() return left() == sent end, function() return read "out" .. run:stderr() end)
end

-- Writes the transforms, has them loaded, and feeds messages until the log says `said`; returns what it captures.
local function reload(transform, said)
  write("t.lua", transform)
  run:signal "HUP"
  return wait.until_true(function()
    if left() == sent then feed(5) end
    return run:stderr():match(said)
  end, function() return run:stderr() end)
end

local REFUSED = "reload: refused; revision 1 of the transforms goes on"

-- Writes the transforms, and has them compared on all batches; feeds messages meanwhile. Returns the exit code and all
-- that the command said.
local function compared(transform, name)
  write(name or "t.lua", transform)
  local command = process.start { PROGRAM, "reload", "--canary", "100%", "--compare", "--no-watch",
    "127.0.0.1:" .. run:stderr():match "HTTP on http://[%d.]+:(%d+)/" }
  wait.until_true(function()
    if left() == sent then feed(5) end
    return not command:running()
  end)
  return command:wait(), command:stdout() .. command:stderr()
end

-- Ends the run; returns the metrics of the report.
local function finish()
  until_all_left()
  wait.unwatch(run)
  run:signal "TERM"
  assert.equal(0, run:wait(), run:stderr())
  assert.equal(sent, left())
  return cjson.decode(read "report.json").metrics
end

describe("a canary", function()
  after_each(piped_run.stop)

  it("has seen enough after canary_messages, and until then all results are those of the transforms before", function()
    start()
    feed(20)
    reload(ONE:gsub("one", "two"), "revision 2 of the transforms runs now")
    local seen, differing, rejected = run:stderr():match("canary: (%d+) messages of run_task_with_multiprocessing "
      .. "were run by both revisions; the results of (%d+) differ, and (%d+) the next one alone rejects")
    assert.is_true(tonumber(seen) >= 20)
    assert.same({ seen, "0" }, { differing, rejected })
    feed(20)
    local metrics = finish()
    local before, after = read("out"):match "^(.-)(two .*)$"
    assert.is_true(select(2, before:gsub("one ", "")) >= tonumber(seen))
    assert.is_nil(after:find "one")
    assert.same({ 1, 0 }, { metrics["consumer.reload.count"], metrics["consumer.reload.error"] })
    assert.same({ tonumber(seen), tonumber(seen), 0 }, { metrics["consumer.canary.compared"],
      metrics["consumer.canary.differing"], metrics["consumer.canary.rejected"] })
    assert.same({ 1, 0 }, { metrics["consumer.canary.share"].max, metrics["consumer.canary.share"].last })
  end)

  it("is in /status while it lasts: its share, what both have run, and of that what differs", function()
    -- A batch is closed when it has five messages.
    start((PIPELINE:gsub("canary_messages = 20", "canary_messages = 1000000"):gsub("max_batch_size = 5",
      '%0, eager = false, max_batch_time = "1h"')))
    local address = "127.0.0.1:" .. run:stderr():match "HTTP on http://[%d.]+:(%d+)/"
    write("t.lua", 'return function(m) m.value = (m.value % 5 == 0 and "two " or "one ") .. m.value return m end')
    run:signal "HUP"
    local seen = wait.until_true(function()
      if left() == sent then feed(5) end
      local status = http_client.status(address)
      local canary = status and status.reload.canary
      return canary and canary.differing >= 3 and canary
    end, function() return run:stderr() end)
    assert.equal(1, seen.share)
    assert.equal(0, seen.rejected)
    -- Five messages are fed at once, which are one batch: of several, a canary that is busy would leave some out.
    assert.equal(5 * seen.differing, seen.compared)
    assert.equal(0, finish()["consumer.reload.count"])
    assert.equal(sent, select(2, read("out"):gsub("one ", "")))
  end)

  it("is refused when it rejects what was accepted before, and names the first message of them", function()
    start()
    reload('return function(m) if tonumber(m.value) > 12 then error "no" end return m end', REFUSED)
    assert.is_truthy(run:stderr():find("canary: run_task_with_multiprocessing: %d+ of %d+ messages are rejected "
      .. 'that were not before; the first: fifo/0/%d+: the new transforms give a rejection %(error: [^\n]*no%), those '
      .. 'that run give a result with the value "one %d+"'), run:stderr())
    feed(20)
    assert.same({ 0, 1 }, { finish()["consumer.reload.count"], 1 })
    assert.equal("", read "letters")
  end)

  it("is not refused for what is rejected by both, nor for another result", function()
    local odd = 'return function(m) if m.value %% 2 == 1 then error "odd" end m.value = "%s " .. m.value return m end'
    start(nil, odd:format "one")
    reload(odd:format "two", "revision 2 of the transforms runs now")
    finish()
  end)

  for name, case in pairs {
    ["dies of a message"] = {
      'local ffi = require "ffi"\nffi.cdef "void abort(void);"\nreturn function(m) ffi.C.abort() end',
      "fifo/0/%d+: the worker of the new transforms died of SIGABRT" },
    ["hangs"] = { "return function(m) while true do end end",
      "fifo/0/%d+: the worker of the new transforms took longer than message_timeout" },
    ["ends"] = { "return function(m) os.exit(3) end", "fifo/0/%d+: the worker of the new transforms ended with" },
  } do
    it(("is refused when its worker %s, which holds up nothing"):format(name), function()
      start((PIPELINE:gsub('"full",', name == "hangs" and '%0 message_timeout = "500ms",' or "%0")))
      reload(case[1], REFUSED)
      assert.is_truthy(run:stderr():find(case[2]), run:stderr())
      assert.equal(0, finish()["consumer.reload.count"])
      assert.equal(sent, select(2, read("out"):gsub("one ", "")))
    end)
  end

  it("that compares is refused at the first difference, whatever it is, which is named by the command", function()
    start((PIPELINE:gsub('canary = "100%%", ', "")))
    feed(20)
    until_all_left()
    for _, case in ipairs {
      { 'm.value = "one " .. (m.value % 5 == 0 and "five" or m.value) return m', nil },
      { 'm.value = "two " .. m.value return m', 'the value is "two %d+" and was "one %d+"' },
      { 'm.value = "one " .. m.value m.key = "k" return m', 'the key is "k" and was null' },
      { 'm.value = "one " .. m.value m.headers.a = "1" return m', "the packed headers is" },
      { 'm.value = "one " .. m.value m.timestamp = 5 return m', "the timestamp is 5 and was %-1" },
      { "return nil", 'the new transforms give no more results, those that run give a result with the value "one %d' },
      { 'm.value = "one " .. m.value return tide.many { m, m }', "the new transforms give a result" },
      { "return tide.retry 'later'", "the new transforms give tide.retry" },
    } do
      local code, said = compared('local tide = require "tidemill"\nreturn function(m) ' .. case[1] .. " end")
      assert.equal(78, code, said)
      local where = "canary: run_task_with_multiprocessing: fifo/0/%d+: "
      assert.is_truthy(said:find(where .. (case[2] or 'the value is "one five" and was "one %d+"')), said)
    end
    assert.equal(64, (process.run { PROGRAM, "reload", "--canary", "200%", "127.0.0.1:1" }))
    assert.equal(0, finish()["consumer.reload.count"])
    assert.equal(sent, select(2, read("out"):gsub("one %d+\n", "")))
  end)

  for name, lie in pairs {
    ["more bytes than a block has"] = "liar.reports({}, liar.SIZE, 2 ^ 32 - 8)",
    ["a value longer than its result"] = "liar.leaves({ { value_length = 1000000 } })",
    ["a record behind the end"] = "liar.leaves({ { index = 4000 } })",
  } do
    it(("is refused when its worker lies: %s; nothing else of it is used"):format(name), function()
      start(nil, nil, { ["liar.lua"] = assert(io.open("spec/support/liar.lua")):read "*a" })
      reload(([[local liar = require "liar"
        return function(m)
          liar.SIZE = liar.found("job")["end"]
          %s(liar.found("job").output)
          return m
        end]]):format(lie), REFUSED)
      assert.is_truthy(run:stderr():find "run_task_with_multiprocessing: a worker of the new transforms broke the",
        run:stderr())
      assert.equal(0, finish()["consumer.reload.count"])
      assert.equal(sent, select(2, read("out"):gsub("one ", "")))
    end)
  end

  it("sees the state that the step had, and its changes of it are thrown away", function()
    local count = [[return function(m, state)
      state.value = (state.value or 0) + %s
      m.value = m.value .. " is " .. state.value
      return m
    end]]
    start((PIPELINE:gsub("tide.run_task_with_multiprocessing { (.-) }",
      'tide.run_task { function(m) m.key = "k" return m end },\n'
        .. '  tide.keyed { "t.lua", state = "sum", processes = 2, max_batch_size = 5 }')
      :gsub('trust = "full"', 'state_dir = debug.getinfo(1, "S").source:match "@(.*)/" .. "/state", %0')),
      count:format "1")
    feed(20)
    until_all_left()
    assert.equal(0, (compared(count:format " 1")))
    local code, text = compared(((count:format "1"):gsub("return m\n", "state.value = 0 return m\n")))
    assert.equal(78, code)
    assert.is_truthy(text:find "canary: keyed: fifo/0/%d+: ", text)
    code, text = compared(count:format "2")
    assert.is_truthy(code == 78 and text:find('the value is "%d+ is %d+" and was "%d+ is %d+"'), text)
    finish()
    for number = 1, sent do assert.is_truthy(read("out"):find(("%d is %d\n"):format(number, number), 1, true)) end
  end)

  it("is taken of each step by itself, of functions of whole batches, and of what reduces", function()
    start((PIPELINE:gsub("(tide.run_task_with_multiprocessing {) .-}", [[%0,
  %1 "b.lua", max_batch_size = 5 },
  tide.reduce { "r.lua", initial_value = 0, max_batch_size = 1, result = tostring }]])), nil, {
      ["b.lua"] = 'return { batch = function(list) for _, m in ipairs(list) do m.value = "b" end return list end }',
      ["r.lua"] = "return function(sum, m) return sum + #m.value end" })
    local code, text = compared("return function(sum, m) return sum + 1 end", "r.lua")
    assert.is_truthy(code == 0 and text:find "revision 2", text)
    code, text = compared("return function(sum, m) return sum + 2 end", "r.lua")
    assert.is_truthy(code == 78 and text:find 'canary: reduce: fifo/0/%d+: the value is "2" and was "1"', text)
    write("r.lua", "return function(sum, m) return sum + 1 end")
    code, text = compared('return { batch = function(list) for _, m in ipairs(list) do m.value = "c" end return list '
      .. "end }", "b.lua")
    assert.is_truthy(code == 78 and text:find 'run_task_with_multiprocessing: fifo/0/%d+: the value is "c"', text)
    finish()
  end)
end)
