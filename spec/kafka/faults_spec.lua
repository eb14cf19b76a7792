-- SPDX-License-Identifier: MIT
-- What dies while messages flow: workers, and the zygote.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local WORK = "local x = 0; for i = 1, 60000 do x = x + i % 7 end; "
local TENTH = "if message.value % 10 == 0 then return nil end "

kafka.describe("under load", { partitions = 4, letters = { 1 } }, function(t)
  local function definition(more)
    return t:definition({
      dlq = { topic = t.letters }, commit = { policy = { min_time = "100ms" } },
      task = "function(message) " .. WORK .. TENTH .. "return message end",
      task_options = { processes = 2, max_batch_size = 200 },
    }, more)
  end

  -- Every input has one outcome: filtered (each tenth), produced once, or dead-lettered once.
  local function check_outcomes(count, report)
    local out, dead = inputs.seen(t.output), inputs.seen(t.letters)
    local letter_count = 0
    for i = 1, count do
      local times = (out[i] or 0) + (dead[i] or 0)
      local wanted = i % 10 == 0 and (dead[i] or 0) or 1
      assert(times == wanted, ("%d: %d in the output, %d dead letters"):format(i, out[i] or 0, dead[i] or 0))
      letter_count = letter_count + (dead[i] or 0)
    end
    assert.equal(count, report.read)
    assert.equal(count, report.produced_from + report.filtered + report.dead_lettered)
    assert.equal(letter_count, report.dead_lettered)
    assert.equal(inputs.count(t.output), report.produced)
    assert.same(kafka.ends(t.input), kafka.committed(t.group, t.input))
    return letter_count
  end

  local function check_none_lost(count)
    local seen = inputs.seen(t.output)
    for i = 1, count do assert(i % 10 == 0 or seen[i], "lost: " .. i) end
  end


  it("the kill of a worker costs no message, and nothing comes twice", function()
    local count, kills, load = 0, 6, 8000
    local run = engine.start(definition())
    run:wait_for("partitions assigned")
    for i = 1, kills do
      local so_far = inputs.count(t.output)
      kafka.produce(t.input, inputs.numbers(count + 1, count + load))
      count = count + load
      wait.until_true(function() return inputs.count(t.output) > so_far + load / 8 end, "output")
      local workers = run:workers(2)
      process.kill(workers[i % 2 + 1])
      wait.until_true(function()
        local now = run:workers()
        return #now == 2 and now[1] ~= workers[i % 2 + 1] and now[2] ~= workers[i % 2 + 1]
      end, "a new worker")
      -- The next kill must not hit the one retry of the message that this one has hit.
      inputs.wait_committed(t.group, t.input)
    end
    local pids = run:processes()
    run:drain()
    wait.until_true(function() return #process.living(pids) == 0 end, "the end of all its processes")
    local report = run:report()
    assert.equal(kills, report.metrics["strategies.run_task_with_multiprocessing.worker.lost{cause=signal}"])
    -- One kill, one retry: the message it hit is run once more, alone.
    assert.equal(0, check_outcomes(count, report))
  end)

  it("a message that crashes its worker each time is a dead letter, and the rest comes out", function()
    local count = 3000
    kafka.produce(t.input, inputs.numbers(1, count))
    local crash = "function(message) if message.value % 1000 == 999 then ffi.C.raise(9) end " .. TENTH
      .. "return message end"
    local report = engine.run(definition { task = crash,
      head = "local ffi = require 'ffi'; ffi.cdef 'int raise(int number);'" }):report()
    assert.equal(3, check_outcomes(count, report))
    for _, letter in ipairs(kafka.consume(t.letters)) do
      local headers = {}
      for _, header in ipairs(letter.headers) do headers[header[1]] = header[2] end
      assert.same({ "SIGKILL", "2" }, { headers.cause, headers.attempts })
    end
  end)

  it("a kill of the zygote ends the engine for now, with nothing lost", function()
    kafka.produce(t.input, inputs.numbers(1, 10000))
    local run = engine.start(definition())
    wait.until_true(function() return inputs.count(t.output) > 3000 end, "output")
    local pids = run:processes()
    process.kill(pids[2])
    run:ends_with(75)
    wait.until_true(function() return #process.living(pids) == 0 end, "the end of all its processes")
    engine.run(definition())
    check_none_lost(10000)
  end)
end)
