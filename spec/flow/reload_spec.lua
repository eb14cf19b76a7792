-- SPDX-License-Identifier: MIT
-- `tidemill run` whose transforms are loaded anew while it runs (SIGHUP): what takes over and when, what is refused and
-- named, and that no message is lost or comes twice.
local cjson = require "cjson"
local child = require "spec.support.child"
local gate = require "spec.support.gate"
local http_stub = require "spec.support.http_stub"
local piped_run = require "spec.support.piped_run"
local port = require "spec.support.port"
local process = require "spec.support.process"
local seed = require "spec.support.seed"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 2, max_batch_size = 10 },
  tide.file_sink { path = "-" } }
]]

local write = piped_run.write
local run, folder

local function output() return piped_run.read "out" end

-- A transform that puts a word before each value; what it begins with may be given.
local function prefix(word, before)
  return ('%sreturn function(m) m.value = "%s " .. m.value return m end\n'):format(before or "", word)
end

local function start(pipeline, transform, files, flags)
  files = files or {}
  files["t.lua"] = transform or prefix "one"
  run, folder = piped_run.start(pipeline or PIPELINE, "--report FOLDER/report.json " .. (flags or ""), files)
  piped_run.until_said(run, "partitions assigned")
end

local function until_said(text, times)
  wait.until_true(function() return select(2, run:stderr():gsub(text, "")) >= (times or 1) end, function()
    return text .. "; " .. run:stderr()
  end)
end

local function until_output(text)
  wait.until_true(function() return output() == text end, function() return output() .. run:stderr() end)
end

local function reload(text, times)
  run:signal "HUP"
  until_said(text, times)
end

-- Returns what the report says of reloads.
local function finish()
  wait.unwatch(run)
  run:signal "TERM"
  assert.equal(0, run:wait(), run:stderr())
  local report = assert(io.open(folder .. "/report.json", "rb"))
  local metrics = cjson.decode(report:read "*a").metrics
  report:close()
  return { done = metrics["consumer.reload.count"], failed = metrics["consumer.reload.error"],
    revision = metrics["consumer.reload.revision"].last }
end

describe("a reload", function()
  after_each(function()
    piped_run.stop()
    child.stop_all()
    gate.remove_all()
  end)

  it("a reload has a transform that was changed take over, with the modules that it requires", function()
    start(nil, prefix("one", 'local word = require "word"\n'):gsub('"one "', "word"), { ["word.lua"] = 'return "a "' })
    piped_run.feed "1\n"
    until_output "a 1\n"
    write("word.lua", 'return "b  "')
    reload "revision 2 of the transforms runs now"
    piped_run.feed "2\n"
    until_output "a 1\nb  2\n"
    write("t.lua", prefix "three")
    reload "revision 3 of the transforms runs now"
    piped_run.feed "3\n"
    until_output "a 1\nb  2\nthree 3\n"
    finish()
  end)

  it("a reload takes functions of the pipeline file, and a transform file that is new to it", function()
    local pipeline = PIPELINE:gsub('"t.lua"', 'function(m) m.value = "inside " .. m.value return m end')
    start(pipeline)
    piped_run.feed "1\n"
    until_output "inside 1\n"
    write("u.lua", prefix "u")
    write("p.lua", (PIPELINE:gsub("t.lua", "u.lua")))
    reload "revision 2 of the transforms runs now"
    piped_run.feed "2\n"
    until_output "inside 1\nu 2\n"
    finish()
  end)

  it("a reload of files that are unchanged does nothing, and says so", function()
    start()
    piped_run.feed "1\n"
    until_output "one 1\n"
    reload "the files of the transforms are unchanged"
    assert.is_nil(run:stderr():find "revision")
    finish()
  end)

  it("a reload of what cannot be loaded names file and line, and what ran before goes on", function()
    start()
    piped_run.feed "1\n"
    until_output "one 1\n"
    for i, case in ipairs {
      { "t.lua", "return function(m) return m en", "t.lua:1: " },
      { "t.lua", "\n\nerror 'no such day'", "t.lua:3: no such day" },
      { "t.lua", "return { init = function() error 'no init' end, process = function(m) return m end }",
        "t.lua:1: no init" },
      { "t.lua", "return { start = function() error 'no start' end, process = function(m) return m end }",
        "t.lua:1: no start" },
      { "t.lua", "os.exit(0)", "ended the process that loads it" },
      { "p.lua", PIPELINE:gsub("processes", "procesess"), 'p.lua:4: .*option "procesess": unknown' },
      { "p.lua", "error 'not today'", "p.lua:1: not today" },
    } do
      write("p.lua", PIPELINE)
      write(case[1], case[2])
      reload("refused; revision 1 of the transforms goes on", i)
      assert.is_truthy(run:stderr():find("error reload: [^\n]*" .. case[3]), run:stderr())
      piped_run.feed "2\n"
      until_output("one 1\n" .. ("one 2\n"):rep(i))
    end
    write("p.lua", PIPELINE)
    write("t.lua", prefix "three")
    reload "revision 2 of the transforms runs now"
    piped_run.feed "3\n"
    until_output("one 1\n" .. ("one 2\n"):rep(7) .. "three 3\n")
    assert.same({ done = 1, failed = 7, revision = 2 }, finish())
  end)

  it("a reload that changes more than transforms is refused, and each option is named that needs a restart", function()
    start()
    write("p.lua", (PIPELINE:gsub("processes = 2", "processes = 3, eager = false"):gsub('"t.lua"', '"t.lua", "t.lua"')
      :gsub('"%-" } }', '"-" }, message_timeout = "5s", dlq = tide.dlq { path = "letters" } }')))
    reload "refused; revision 1"
    for _, text in ipairs { 'p.lua:4: run_task_with_multiprocessing: option "processes" = 3, and the run has 2',
      'p.lua:4: run_task_with_multiprocessing: option "eager" = false, and the run has true',
      'p.lua:2: pipeline: option "message_timeout" = 5s, and the run has 30s', "p.lua:5: dlq: is new",
      "needs a restart" } do
      assert.is_truthy(run:stderr():find(text, 1, true), text .. run:stderr())
    end
    write("p.lua", (PIPELINE:gsub("  tide.file_sink", "  tide.noop {},\n  tide.file_sink")))
    reload("refused; revision 1", 2)
    assert.is_truthy(run:stderr():find("p.lua:2: the steps are file_source, run_task_with_multiprocessing, noop, "
      .. "file_sink, and the run has file_source, run_task_with_multiprocessing, file_sink", 1, true), run:stderr())
    finish()
  end)

  it("a reload by the command waits for the outcome, and its exit code tells it; unchanged files are loaded too",
    function()
      start(nil, nil, nil, "--metrics-addr 0")
      local address = "127.0.0.1:" .. piped_run.until_said(run, "HTTP on http://[%d.]+:(%d+)/")
      local function command(target)
        return process.run { PROGRAM, "reload", "--no-watch", target }
      end
      assert.same({ 0, "revision 2 of the transforms runs now\n", "" }, { command(address) })
      write("t.lua", "return function(m) return m en")
      local code, out, err = command(address)
      assert.same({ 78, "" }, { code, out })
      assert.is_truthy(err:find "/t.lua:1: .*revision 2 of the transforms goes on", err)
      write("t.lua", prefix "three")
      assert.same({ 0, ("process %d was told; its log says what comes of it\n"):format(run:pid()), "" },
        { command(tostring(run:pid())) })
      until_said "revision 3 of the transforms runs now"
      piped_run.feed "1\n"
      until_output "three 1\n"
      for target, text in pairs { ["1"] = "process 1 is no tidemill run", nonsense = "nonsense",
        ["999999999"] = "there is no process 999999999", ["10.0.0.1:9464"] = "say this on its own machine" } do
        code, out, err = command(target)
        assert.is_truthy(code == 64 and err:find(text, 1, true), target .. out .. err)
      end
      assert.same({ done = 2, failed = 1, revision = 3 }, finish())
    end)

  it("a reload by the command finds the pipeline by its file, and waits until the new transforms stay", function()
    start((PIPELINE:gsub('"%-" } }', ('"-" },\n  metrics = tide.metrics { prometheus = "0.0.0.0:%d" },\n'
      .. '  reload = tide.reload { watch_time = "100ms" } }'):format(port.keep()))))
    local path = folder .. "/p.lua"
    assert.same({ 0, "revision 2 of the transforms runs now\nrevision 2 of the transforms stays\n", "" },
      { process.run { PROGRAM, "reload", path } })
    local text = assert(io.open(path)):read "*a"
    for _, case in ipairs {
      { text:gsub('"x"', '"y"'), 78, 'the pipeline "x" answers there, and the file is of "y"' },
      { text:gsub("metrics =[^\n]*", ""), 64, "it has no metrics = tide.metrics { prometheus = ADDRESS }" },
      { text:gsub("0.0.0.0:%d+", "0"), 64, "its metrics take any port that is free" },
      { text:gsub("processes", "procesess"), 78, 'p.lua:4: option "procesess": unknown' },
    } do
      write("p.lua", case[1])
      local code, out, err = process.run { PROGRAM, "reload", path }
      assert.is_truthy(code == case[#case - 1] and out == "" and err:find(case[#case], 1, true), code .. err)
    end
    assert.equal(66, (process.run { PROGRAM, "reload", "nowhere.lua" }))
    assert.same({ done = 1, failed = 0, revision = 2 }, finish())
  end)

  -- Each look at the pipeline is a connection: the first before the signal, the second behind it.
  local function commanded(second)
    local pid = process.start({ "/bin/sh", "-c", "sleep 1000; :", "tidemill", "run" }):pid()
    local stub = http_stub.start(function(_, _, _, _, look)
      if look == 2 then return second end
      return 200, cjson.encode { version = 1, name = "x", pid = pid, revision = look == 1 and 1 or 2,
        reload = { state = "none", last = look > 1 and { number = 1, outcome = "done" } or nil } }
    end)
    return process.run { PROGRAM, "reload", "127.0.0.1:" .. stub }
  end

  it("a reload by the command outlasts a look that is not answered in time, and no other failure", function()
    assert.same({ 0, "revision 2 of the transforms runs now\nrevision 2 of the transforms stays\n", "" },
      { commanded(nil) })
    local code, out, err = commanded "close"
    assert.same({ 69, "" }, { code, out })
    assert.matches("the connection was closed before the answer was complete", err, 1, true)
  end)

  it("a reload comes by itself with --watch: when a file is written, replaced, linked to elsewhere, or new", function()
    local text = 'local word = require "word"\nreturn function(m) m.value = word .. m.value return m end'
    start(nil, text, { ["word.lua"] = 'return "a "', ["other.lua"] = 'return "o "' }, "--watch")
    local expected = ""
    for i, change in ipairs {
      { "a ", function() end }, { "b ", function() write("word.lua", 'return "b "') end },
      { "c ", function()
        write("new", 'return "c "')
        assert(os.rename(folder .. "/new", folder .. "/word.lua"))
      end },
      { "o ", function() assert(os.execute(("ln -sf %s/other.lua %s/word.lua"):format(folder, folder)) == 0) end },
      { "n ", function()
        write("t.lua", text:gsub("word", "another"))
        until_said("refused; revision 4")
        write("another.lua", 'return "n "')
      end },
    } do
      change[2]()
      if i > 1 then until_said(("revision %d of the transforms runs now"):format(i)) end
      piped_run.feed(i .. "\n")
      expected = expected .. change[1] .. i .. "\n"
      until_output(expected)
    end
    assert.same({ done = 4, failed = 1, revision = 5 }, finish())
  end)

  it("a reload takes over between two batches: what runs is ended by the revision that it was given to", function()
    local one = gate.new()
    local pipeline = PIPELINE:gsub("max_batch_size = 10", "max_batch_size = 1")
    start((pipeline:gsub('"%-" } }', '"-" }, trust = "full" }')), ([[
      return { process = function(m)
        if m.value == "held" then
          io.open("%s.reached", "w"):close()
          repeat local open = io.open("%s") until open
        end
        m.value = "one " .. m.value
        return m
      end, close = function() io.stderr:write "one closes\n" end }]]):format(one.path, one.path))
    piped_run.feed "held\n"
    one:reached()
    write("t.lua", prefix "two")
    reload "revision 2 of the transforms runs now"
    piped_run.feed "next\n"
    write("t.lua", prefix "three")
    reload "another one is under way"
    one:open()
    until_output "one held\ntwo next\n"
    until_said "revision 3 of the transforms runs now"
    until_said("one closes", 2)
    piped_run.feed "last\n"
    until_output "one held\ntwo next\nthree last\n"
    finish()
  end)

  it("a reload of a worker that dies of a message has the next revision run it again", function()
    start(PIPELINE, 'return function(m) if m.value == "bad" then require("ffi").C.abort() end '
      .. 'm.value = "one " .. m.value return m end')
    piped_run.feed "1\n"
    until_output "one 1\n"
    write("t.lua", prefix "two")
    reload "revision 2 of the transforms runs now"
    piped_run.feed "bad\n"
    until_output "one 1\ntwo bad\n"
    finish()
  end)

  it("a reload goes with hardened trust, a list of hosts, and workers that are replaced", function()
    start((PIPELINE:gsub("max_batch_size = 10", "max_batch_size = 1, max_messages = 3")
      :gsub('path = "%-" } }', 'path = "-" }, trust = "hardened", network = { "127.0.0.1:9" } }')))
    local expected = ""
    for i = 1, 12 do
      piped_run.feed(i .. "\n")
      expected = expected .. ("%s %d\n"):format(i <= 6 and "one" or "two", i)
      until_output(expected)
      if i == 6 then
        write("t.lua", prefix "two")
        reload "revision 2 of the transforms runs now"
      end
    end
    finish()
  end)

  it("a reload loses no message and doubles none, fifty times while messages flow", function()
    seed.draw()
    local revision, sent = 1, 0
    local text = 'return function(m) m.value = m.value .. " %d" return m end\n%s'
    start((PIPELINE:gsub("tide.file_sink", [[tide.run_task_with_multiprocessing { "u.lua", processes = 2 },
  tide.file_sink]])), text:format(1, ""), { ["u.lua"] = prefix "u" })
    while revision <= 50 do
      for _ = 1, math.random(1, 300) do
        sent = sent + 1
        piped_run.feed(sent .. "\n")
      end
      if math.random(4) == 1 then
        write("t.lua", "retrn" .. (" "):rep(revision))
        run:signal "HUP"
      end
      revision = revision + 1
      write("t.lua", text:format(revision, (" "):rep(revision)))
      reload(("revision %d of the transforms runs now"):format(revision))
    end
    wait.until_true(function() return select(2, output():gsub("\n", "")) == sent end, run:stderr())
    local number, last = 0, 1
    for value, by in output():gmatch "u (%d+) (%d+)\n" do
      number = number + 1
      assert.equal(number, tonumber(value))
      assert.is_true(tonumber(by) >= last, ("%s by %s after %d"):format(value, by, last))
      last = tonumber(by)
    end
    assert.equal(sent, number)
    assert.is_true(last > 40)
    finish()
  end)
end)
