-- SPDX-License-Identifier: MIT
-- Transforms that are loaded anew while a topic is read: no partition changes hands, and no message is lost or comes
-- twice.
local cjson = require "cjson"
local engine = require "spec.support.engine"
local http = require "spec.support.http"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local seeds = require "spec.support.seed"
local wait = require "spec.support.wait"

local TASK = [[function(m) local revision = 1; m.headers.revision = tostring(revision); return m end]]

kafka.describe("a reload", { partitions = 4 }, function(t)
  local function start(delivery, more)
    return engine.start(t:definition({ task = TASK, task_options = { processes = 2, max_batch_size = 20 },
      commit = { policy = { min_time = "100ms" } }, settings = { delivery = delivery } }), more)
  end

  local function rewrite(run, from, to)
    local file = assert(io.open(run.path, "rb"))
    local text = file:read "*a"
    file:close()
    file = assert(io.open(run.path, "wb"))
    file:write((text:gsub(from, to)))
    file:close()
  end

  local function reload(run, revision)
    rewrite(run, "revision = %d+", "revision = " .. revision)
    run:signal "HUP"
    run:wait_for(("revision %d of the transforms runs now"):format(revision))
  end

  -- What happened to partitions before the end was asked for.
  local function changes(run)
    local text = run:stderr():match "^(.-)SIGTERM" or run:stderr()
    return select(2, text:gsub("partitions assigned", "")), select(2, text:gsub("partitions revoked", ""))
  end

  for _, case in ipairs { { "at_least_once", 15 }, { "exactly_once", 50 } } do
    it(("a reload in %s loses and doubles nothing while messages flow, %d times"):format(case[1], case[2]), function()
      seeds.draw()
      local run, sent = start(case[1]), 0
      run:wait_for "partitions assigned"
      for revision = 2, case[2] + 1 do
        if revision % 5 == 2 then
          local count = math.random(50, 500)
          kafka.produce(t.input, inputs.numbers(sent + 1, sent + count))
          sent = sent + count
        end
        reload(run, revision)
      end
      inputs.wait_committed(t.group, t.input)
      run:drain(30)
      assert.same({ 1, 0 }, { changes(run) })
      inputs.in_order(t.output)
      local seen, last, all = {}, {}, kafka.consume(t.output)
      for _, message in ipairs(all) do
        seen[tonumber(message.value)] = true
        local revision = tonumber(inputs.header(message, "revision"))
        assert.is_true(revision >= (last[message.partition] or 1))
        last[message.partition] = revision
      end
      for number = 1, sent do assert.is_true(seen[number], number .. " is lost") end
      assert.equal(sent, #all)
      assert.equal(case[2], run:report().metrics["consumer.reload.count"])
    end)
  end

  for _, delivery in ipairs { "at_least_once", "exactly_once" } do
    it(("a reload in %s that is gone back from loses and doubles nothing, and no partition changes hands"):format(
      delivery), function()
      local run = engine.start(t:definition({ task = TASK, task_options = { processes = 2, max_batch_size = 20 },
        dlq = { topic = t.letters }, commit = { policy = { min_time = "100ms" } },
        settings = { delivery = delivery, reload = engine.code "tide.reload { max_rejected = 5 }" } }))
      run:wait_for "partitions assigned"
      kafka.produce(t.input, inputs.numbers(1, 200))
      inputs.wait_committed(t.group, t.input)
      rewrite(run, "revision = 1", 'revision = error "bad"')
      run:signal "HUP"
      run:wait_for "revision 2 of the transforms runs now"
      kafka.produce(t.input, inputs.numbers(201, 1200))
      run:wait_for "rolled back; revision 1 of the transforms runs again"
      kafka.produce(t.input, inputs.numbers(1201, 1300))
      inputs.wait_committed(t.group, t.input)
      run:drain(30)
      assert.same({ 1, 0 }, { changes(run) })
      local seen, letters = {}, kafka.consume(t.letters)
      for _, message in ipairs(letters) do seen[tonumber(message.value)] = true end
      for _, message in ipairs(kafka.consume(t.output)) do
        assert.is_nil(seen[tonumber(message.value)], message.value .. " comes twice")
        seen[tonumber(message.value)] = true
      end
      for number = 1, 1300 do assert.is_true(seen[number], number .. " is lost") end
      assert.is_true(#letters > 5)
      assert.equal(1, run:report().metrics["consumer.reload.rolled_back"])
    end)
  end

  it("a reload with a canary is tried and refused by each engine of several, with the message that differs", function()
    local run = start("at_least_once", { args = { "--engines", "2", "--metrics-addr", "0" } })
    local port = tonumber(wait.until_true(function() return run:stderr():match "HTTP on http://[%d.]+:(%d+)/" end))
    for number = 1, 2 do run:wait_for(("engine %d: partitions assigned"):format(number)) end
    rewrite(run, "revision = %d+", "revision = 2")
    local command = process.start { engine.PROGRAM, "reload", "--canary", "50%", "--compare", "127.0.0.1:" .. port }
    local sent = 0
    wait.until_true(function()
      kafka.produce(t.input, inputs.numbers(sent + 1, sent + 100))
      sent = sent + 100
      return not command:running()
    end)
    assert.equal(78, command:wait(), command:stdout() .. run:stderr())
    assert.is_truthy(command:stderr():find("canary: run_task_with_multiprocessing: " .. t.input:gsub("%p", "%%%0")
      .. "/%d/%d+: the packed headers is "), command:stderr())
    for number = 1, 2 do run:wait_for(("engine %d: reload: refused; revision 1"):format(number)) end
    inputs.wait_committed(t.group, t.input)
    run:drain(30)
    inputs.once(t.output, sent)
    for _, message in ipairs(kafka.consume(t.output)) do assert.equal("1", inputs.header(message, "revision")) end
  end)

  it("a reload reaches all engines of several, and what they cannot load stays as it was in each", function()
    local run = start("at_least_once", { args = { "--engines", "2", "--metrics-addr", "0" } })
    local port = tonumber(wait.until_true(function() return run:stderr():match "HTTP on http://[%d.]+:(%d+)/" end))
    local function status(test)
      return wait.until_true(function()
        local seen = cjson.decode(http.get(port, "/status").body)
        return seen.reload and test(seen, seen.reload.last) and seen
      end, function() return http.get(port, "/status").body end)
    end
    for number = 1, 2 do run:wait_for(("engine %d: partitions assigned"):format(number)) end
    rewrite(run, "revision = %d+", "revision = 2")
    run:signal "HUP"
    for number = 1, 2 do run:wait_for(("engine %d: reload: revision 2 of the transforms runs now"):format(number)) end
    kafka.produce(t.input, inputs.numbers(1, 400))
    inputs.wait_committed(t.group, t.input)
    status(function(seen, last) return seen.revision == 2 and last and last.outcome == "done" end)
    rewrite(run, "processes\"%] = 2", "processes\"] = 3")
    run:signal "HUP"
    for number = 1, 2 do run:wait_for(("engine %d: reload: refused; revision 2"):format(number)) end
    local seen = status(function(_, last) return last and last.number == 2 end)
    assert.same({ 2, "failed" }, { seen.revision, seen.reload.last.outcome })
    assert.is_truthy(seen.reload.last.text:find('option "processes" = 3, and the run has 2', 1, true))
    run:drain(30)
    inputs.once(t.output, 400)
    for _, message in ipairs(kafka.consume(t.output)) do assert.equal("2", inputs.header(message, "revision")) end
  end)
end)
