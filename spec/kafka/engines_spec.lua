-- SPDX-License-Identifier: MIT
-- Several engines under one supervisor, on a real Kafka: seen from outside they are one program.
local cjson = require "cjson"
local engine = require "spec.support.engine"
local exposition = require "spec.support.exposition"
local http = require "spec.support.http"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

-- Some 100 us a message, so that the load lasts.
local WORK = "function(message) local x = 0; for i = 1, 20000 do x = x + i % 7 end; return message end"
local LONG_WORK = WORK:gsub("20000", "2000000")

kafka.describe("several engines", { partitions = 6 }, function(t)
  local function definition(more)
    return t:definition({ source = { instance = "several",
      rdkafka = { ["session.timeout.ms"] = 10000, ["heartbeat.interval.ms"] = 100 } },
      commit = { policy = { min_time = "100ms" } } }, more)
  end

  local function start(count, more, ...)
    return engine.start(definition(more), { args = { "--engines", tostring(count), ... } })
  end

  -- The process of an engine, as the log tells it last.
  local function pid_of(run, number)
    local pid
    for found in run:stderr():gmatch(("engine %d starts[%%a ]*: process (%%d+)"):format(number)) do pid = found end
    return tonumber(pid)
  end

  local function wait_assigned(run, count)
    for number = 1, count do run:wait_for(("engine %d: partitions assigned"):format(number)) end
  end

  local function wait_gone(pids)
    wait.until_true(function() return #process.living(pids) == 0 end, 20, function()
      return ("the end of the processes %s"):format(table.concat(process.living(pids), " "))
    end)
  end

  local function assert_once(count)
    local seen, total = inputs.seen(t.output), 0
    for i = 1, count do assert.equal(1, seen[i], "message " .. i) end
    for _, times in pairs(seen) do total = total + times end
    assert.equal(count, total)
  end

  local function port_of(run)
    return tonumber(wait.until_true(function() return run:stderr():match "HTTP on http://[%d.]+:(%d+)/" end))
  end

  it("several engines share the partitions, and each message comes out once while one is killed and comes back",
    function()
      local run = start(3, { task = WORK, settings = { delivery = "exactly_once" } }, "--metrics-addr", "0")
      wait_assigned(run, 3)
      kafka.produce(t.input, inputs.numbers(1, 5000))
      wait.until_true(function() return inputs.count(t.output) > 300 end, "output")
      local pids = process.descendants(pid_of(run, 2))
      process.kill(pid_of(run, 2))
      run:wait_for("engine 2 was ended by SIGKILL: it is started again in 0.5 s, the others go on")
      run:wait_for("engine 2 starts again")
      kafka.produce(t.input, inputs.numbers(5001, 6000)) -- of which it reads its share, however far it was before
      inputs.wait_committed(t.group, t.input)
      wait_gone(pids)
      http.wait_for(port_of(run), "/readyz", 200)
      pids = run:processes()
      run:drain(30)
      wait_gone(pids)
      assert_once(6000)
      local report, read = run:report(), 0
      for i, one in ipairs(report.engines) do
        assert.equal(i, one.engine)
        assert.is_true(one.read > 0, "engine " .. i .. " has read nothing")
        read = read + one.read
      end
      assert.same({ 3, report.read }, { #report.engines, read })
      assert.same({ 0, 1, 0 }, { report.engines[1].losses, report.engines[2].losses, report.engines[3].losses })
      assert.equal(report.read, report.produced_from + report.dropped)
    end)

  it("several engines have one page of metrics, one status and one health, with what is of each", function()
    local run = start(2, nil, "--metrics-addr", "0", "--tap")
    local port = port_of(run)
    wait_assigned(run, 2)
    kafka.produce(t.input, inputs.numbers(1, 600))
    inputs.wait_committed(t.group, t.input)
    local page = wait.until_true(function()
      local found = exposition.parse(http.get(port, "/metrics").body)
      return exposition.sum(found, "tidemill_messages_read_total") == 600 and found
    end, "600 read on the page")
    for _, number in ipairs { "1", "2" } do
      assert.is_true(exposition.sum(page, "tidemill_messages_read_total", { engine = number }) > 0)
      assert.equal(1, exposition.sum(page, "tidemill_engine_up", { engine = number }))
      assert.equal(0, exposition.sum(page, "tidemill_engine_lost_total", { engine = number }))
    end
    assert.equal(200, http.get(port, "/healthz").code)
    http.wait_for(port, "/readyz", 200)
    -- An engine sends its metrics before its snapshot, so the status may be a second behind /metrics.
    local status = wait.until_true(function()
      local found = cjson.decode(http.get(port, "/status").body)
      return found.totals.read == 600 and found
    end, "600 read in the status")
    assert.same({ 1, "reading", 600, 6, 2 }, { status.version, status.state, status.totals.read, #status.partitions,
      #status.engines })
    assert.same({ "RUNNING", "RUNNING" }, { status.engines[1].state, status.engines[2].state })
    local profile = http.get(port, "/profile?engine=2&seconds=0.1").body
    assert.is_truthy(profile:find("^step\t%d+\n"), profile)
    local code, out = process.run { engine.PROGRAM, "top", "127.0.0.1:" .. port, "--once" }
    assert.is_truthy(code == 0 and out:find("engine +state"), out)
    local tap = process.start { engine.PROGRAM, "tap", "127.0.0.1:" .. port, "--limit", "1" }
    wait.until_true(function()
      kafka.produce(t.input, inputs.numbers(1, 12))
      return not tap:running()
    end, "a sample")
    assert.equal(0, tap:code())
    assert.is_truthy(tap:stdout():find('"fate":"forwarded"', 1, true), tap:stdout())
    run:drain()
  end)

  it("several engines end at the ends of the partitions, and JSON lines name the engine", function()
    kafka.produce(t.input, inputs.numbers(1, 3000))
    local run = engine.run(definition(), { args = { "--engines", "3", "--log-format", "json" } })
    inputs.at_least_once(t.output, 3000)
    assert.same(kafka.ends(t.input), kafka.committed(t.group, t.input))
    local of = {}
    for line in run:stderr():gmatch "[^\n]+" do
      local object = cjson.decode(line)
      if object.event == "done" then of[#of + 1] = object.engine or 0 end
    end
    table.sort(of)
    assert.same({ 0, 1, 2, 3 }, of)
    assert.is_true(run:report().read >= 3000)
  end)

  it("several engines end in order, with code 65, when one meets a bad message and there is no dlq", function()
    kafka.produce(t.input, inputs.numbers(1, 300))
    local run = start(3, { task = "function(m) if m.value == '250' then error('bad') end return m end" })
    run:ends_with(65)
    assert.is_true(run:says("ended with code 65: all engines end, with code 65"), run:stderr())
    local committed = 0
    for _, offset in pairs(kafka.committed(t.group, t.input)) do committed = committed + offset end
    assert.is_true(committed < 300)
  end)

  it("several engines end in order when their supervisor is killed", function()
    local run = start(2, { task = LONG_WORK }) -- 6,000 of them take seconds, what is in batches does not
    wait_assigned(run, 2)
    kafka.produce(t.input, inputs.numbers(1, 6000))
    wait.until_true(function() return inputs.count(t.output) > 0 end, "output")
    local pids = run:processes()
    run:signal("KILL")
    wait_gone(pids)
    assert.is_true(inputs.count(t.output) < 6000) -- it was no end of the input
    for number = 1, 2 do
      assert.is_true(run:says(("engine %d: the supervisor is gone: finishing what was read"):format(number)),
        run:stderr())
      assert.is_true(run:says(("engine %d: done: read"):format(number)), run:stderr())
    end
    local second = start(2) -- the same members, so that nobody waits for their predecessors
    inputs.wait_committed(t.group, t.input)
    second:drain()
    inputs.at_least_once(t.output, 6000)
  end)

  it("several engines end in order, with code 75, when the process that starts them is killed", function()
    local run = start(2)
    wait_assigned(run, 2)
    local pids = run:processes()
    process.kill(pids[2]) -- the supervisor has one child
    run:ends_with(75)
    wait_gone(pids)
    assert.is_true(run:says("engine 1: done: read"), run:stderr())
  end)

  it("several engines leave at once with a second signal", function()
    kafka.produce(t.input, inputs.numbers(1, 10))
    local run = start(2, { task = "function(message) while true do end end", settings = { join_timeout = "10min" } })
    wait_assigned(run, 2)
    local pids = run:processes()
    run:signal("INT")
    run:wait_for("SIGINT: finishing what was read")
    run:signal("INT")
    run:ends_with(130)
    wait_gone(pids)
  end)
end)
