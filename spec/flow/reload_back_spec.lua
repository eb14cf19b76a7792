-- SPDX-License-Identifier: MIT
-- Transforms that have taken over and fail: those that ran before take over again, by the same way, so that no message
-- is lost or comes twice.
local cjson = require "cjson"
local http = require "spec.support.http"
local piped_run = require "spec.support.piped_run"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 2, max_batch_size = 5, crash_retries = 1 },
  tide.file_sink { path = "-" },
  reload = tide.reload { max_rejected = 3, max_rejected_ratio = 0.1 } }
]]
local GOOD = 'return function(m) m.value = "one " .. m.value return m end'
local BAD = 'return function(m) error "two is bad" end'

local write, read = piped_run.write, piped_run.read
local run, folder, sent

local function start(pipeline, transform, files)
  files, sent = files or {}, 0
  files["t.lua"] = transform or GOOD
  run, folder = piped_run.start(pipeline or PIPELINE,
    "--report FOLDER/report.json --dead-letters FOLDER/letters --metrics-addr 0", files)
  piped_run.until_said(run, "partitions assigned")
end

local function until_said(text) piped_run.until_said(run, text) end

local function feed(count) sent = piped_run.feed_numbers(count) end

local function reload(transform, said)
  write("t.lua", transform)
  run:signal "HUP"
  until_said(said or "revision %d+ of the transforms runs now")
end

-- How often each message has left, by the output or as a dead letter: message 1 has offset 0.
local function departures()
  local times = {}
  for number in read("out"):gmatch "(%d+)\n" do times[number] = (times[number] or 0) + 1 end
  for line in read("letters"):gmatch "[^\n]+" do
    local number = tostring(cjson.decode(line).original_offset + 1)
    times[number] = (times[number] or 0) + 1
  end
  return times
end

local function until_all_left()
  wait.until_true(function()
    local times = departures()
    for number = 1, sent do if not times[tostring(number)] then return false end end
    return true
  end, function() return read "out" .. read "letters" .. run:stderr() end)
end

local function port() return tonumber(run:stderr():match "HTTP on http://[%d.]+:(%d+)/") end

local function state() return cjson.decode(http.get(port(), "/status").body).reload.state end

-- Ends the run; each message has left once. Returns the metrics of the report.
local function finish()
  until_all_left()
  wait.unwatch(run)
  run:signal "TERM"
  assert.equal(0, run:wait(), run:stderr())
  local times = departures()
  for number = 1, sent do assert.equal(1, times[tostring(number)], "message " .. number) end
  return cjson.decode(read "report.json").metrics
end

describe("the way back of a reload", function()
  after_each(piped_run.stop)

  it("goes to the transforms before, when those that took over reject too much; each message leaves once", function()
    start()
    feed(20)
    until_all_left()
    reload(BAD)
    feed(20)
    until_said "reload: rolled back; revision 1 of the transforms runs again"
    local failed, count, named = run:stderr():match(
      "reload: revision 2 failed in (%d+) of (%d+) messages, and revision 1 in 0 of 20; the last dead letter: (%S+): ")
    assert.is_truthy(tonumber(failed) > 3 and tonumber(failed) <= tonumber(count), run:stderr())
    assert.is_truthy(named:find "^fifo/0/%d+$", named)
    feed(5)
    until_all_left()
    assert.is_truthy(read("out"):find "one 45\n")
    -- The files are those that have failed, so a signal that comes each night does not load them again.
    run:signal "HUP"
    until_said "the files of the transforms are unchanged"
    reload(GOOD .. " ", "revision 3 of the transforms runs now")
    feed(5)
    local metrics = finish()
    assert.same({ 2, 1, 3 }, { metrics["consumer.reload.count"], metrics["consumer.reload.rolled_back"],
      metrics["consumer.reload.revision"].last })
  end)

  it("comes when workers die of messages, too, and when only a later step fails", function()
    start((PIPELINE:gsub("tide.file_sink", 'tide.run_task_with_multiprocessing { "u.lua" },\n  tide.file_sink')), nil,
      { ["u.lua"] = "return function(m) return m end" })
    feed(20)
    until_all_left()
    write("u.lua", 'local ffi = require "ffi"\nffi.cdef "void abort(void);"\nreturn function(m) ffi.C.abort() end')
    reload(GOOD, "revision 2 of the transforms runs now")
    feed(10)
    until_said "reload: rolled back; revision 1"
    feed(10)
    finish()
  end)

  it("is not taken for what was rejected before as well, for a few failures, or when the watch is over", function()
    local odd = 'return function(m) if m.value %% 2 == %d then error "no" end m.value = "one " .. m.value return m end'
    start((PIPELINE:gsub("max_rejected =", 'watch_time = "1s", max_rejected =')), odd:format(1))
    feed(40)
    until_all_left()
    reload(odd:format(0))
    feed(40)
    until_said "reload: revision 2 of the transforms stays"
    reload(GOOD, "revision 3 of the transforms runs now")
    until_said "reload: revision 3 of the transforms stays"
    reload('return function(m) if m.value % 50 < 3 then error "few" end m.value = "one " .. m.value return m end',
      "revision 4 of the transforms runs now")
    feed(40)
    until_said "reload: revision 4 of the transforms stays"
    local metrics = finish()
    assert.same({ 3, 0 }, { metrics["consumer.reload.count"], metrics["consumer.reload.rolled_back"] })
  end)

  it("is open to the revision that ran last: a reload that comes meanwhile is loaded at once", function()
    start()
    reload(GOOD)
    reload(GOOD .. "  ", "revision 3 of the transforms runs now")
    reload(BAD, "revision 4 of the transforms runs now")
    feed(20)
    until_said "reload: rolled back; revision 3 of the transforms runs again"
    finish()
  end)

  it("is closed when nothing is kept of the transforms before", function()
    start((PIPELINE:gsub("max_rejected =", "watch_time = 0, max_rejected =")))
    reload(BAD)
    feed(20)
    until_all_left()
    reload(GOOD, "revision 3 of the transforms runs now")
    assert.equal(0, finish()["consumer.reload.rolled_back"])
  end)

  it("is closed when workers of the transforms before cannot start any more, and says so", function()
    start(nil, [[
      local path = debug.getinfo(1, "S").source:sub(2) .. ".there"
      return { start = function() assert(io.open(path), "it is gone"):close() print "is here" end,
        process = function(m) m.value = "one " .. m.value return m end }]], { ["t.lua.there"] = "" })
    until_said "is here.*is here" -- both workers
    assert(os.remove(folder .. "/t.lua.there"))
    reload(BAD)
    feed(20)
    until_said "messages[^\n]*; and revision 1 cannot come back: [^\n]*it is gone"
    until_said "reload: refused; revision 2 of the transforms goes on"
    reload(GOOD, "revision 3 of the transforms runs now")
    finish()
  end)

  it("is closed when the process that has them is lost, which ends nothing else", function()
    start()
    wait.until_true(function() return #process.workers(run:pid()) > 0 end)
    local zygote = process.children(run:pid())[1]
    reload(GOOD)
    wait.until_true(function() return #process.children(zygote) == 0 end)
    wait.until_true(function() return state() == "watching" end, function() return run:stderr() end)
    process.kill(zygote)
    until_said "the older revision is lost, so it cannot come back"
    feed(20)
    finish()
  end)

  it("is told by the command that waits for it", function()
    start((PIPELINE:gsub("max_rejected =", 'watch_time = "5min", max_rejected =')))
    write("t.lua", BAD)
    local command = process.start { PROGRAM, "reload", ("127.0.0.1:%d"):format(port()) }
    until_said "revision 2 of the transforms runs now"
    feed(20)
    assert.equal(78, command:wait(), command:stderr())
    assert.is_truthy(command:stderr():find "revision 2 failed in .*rolled back; revision 1 of the transforms runs",
      command:stderr())
    finish()
  end)
end)
