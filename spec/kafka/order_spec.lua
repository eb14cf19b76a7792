-- SPDX-License-Identifier: MIT
-- order = "key" and "none" on a real Kafka: one partition keeps several workers busy; kills of workers, rebalances, and
-- transactions while lanes are ahead of each other.
local engine = require "spec.support.engine"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

kafka.describe("the order by key", { input = { 1 }, output = { 1 } }, function(t)
  -- Each message takes up to 2 ms, those of key k0 longer.
  local TASK = [[function(message)
    local n = tonumber(message.value)
    require("ffi").C.poll(nil, 0, n % 7 == 0 and 2 or message.key == "k0" and 1 or 0)
    return message
  end]]
  local HEAD = 'require("ffi").cdef "int poll(void *, unsigned long, int);"'

  local function definition(order, more)
    return t:definition({ head = HEAD, task = TASK, commit = { policy = { min_time = "50ms" } },
      task_options = { processes = 3, max_batch_size = 20, order = order, crash_retries = 100 } }, more)
  end

  local function fill(count, keys)
    local messages = {}
    for i = 1, count do messages[i] = { key = "k" .. i % (keys or 40), value = tostring(i), partition = 0 } end
    kafka.produce(t.input, messages)
  end

  -- Each value once, those of a key in order (`once` = false: they may come again, after a kill of the engine, say).
  local function assert_results(count, by_key)
    local last, seen = {}, {}
    for _, message in ipairs(kafka.consume(t.output)) do
      local number = tonumber(message.value)
      assert.is_nil(seen[number], "twice: " .. number)
      seen[number] = true
      if by_key then
        assert.is_true(number > (last[message.key] or 0), message.key .. ": " .. number .. " after "
          .. (last[message.key] or 0))
      end
      last[message.key] = number
    end
    for i = 1, count do assert.is_true(seen[i], "lost: " .. i) end
  end

  local function kill_workers(run, times)
    for i = 1, times do
      local before = run:total "produced"
      wait.until_true(function() return run:total "produced" > before or not run.process:running() end, 30)
      local pids = run:workers()
      if #pids > 0 then process.kill(pids[i % #pids + 1]) end
    end
  end

  for _, order in ipairs { "key", "none" } do
    it(('exactly_once with order = "%s" has each message once, in many transactions, while workers die'):format(order),
      function()
        fill(6000)
        local run = engine.start(definition(order, { settings = { delivery = "exactly_once" } }),
          { args = { "--until-end" } })
        kill_workers(run, 2)
        run:ends_with(0)
        assert_results(6000, order == "key")
        assert.equal(6000, kafka.committed(t.group, t.input)[0])
        local report = run:report()
        assert.is_true(report.metrics["producer.transaction.time"].count >= 5)
        assert.equal(0, report.metrics["producer.transaction.aborted"])
      end)
  end

  it('exactly_once with order = "key" ends its transaction while one key takes long', function()
    fill(4000, 3)
    local run = engine.run(definition("key", { settings = { delivery = "exactly_once" }, task = [[function(message)
      require("ffi").C.poll(nil, 0, message.key == "k0" and 1 or 0)
      return message
    end]] }))
    assert_results(4000, true)
    local report = run:report()
    assert.is_true(report.metrics["producer.transaction.time"].count >= 5)
    assert.equal(0, report.metrics["producer.transaction.aborted"])
  end)

  it('order = "key" commits what is complete, in order by key, when the run is stopped and begun again', function()
    fill(5000)
    local run = engine.start(definition("key", { settings = { delivery = "exactly_once" } }))
    wait.until_true(function() return #kafka.consume(t.output) > 500 end, 30)
    run:drain()
    engine.run(definition("key", { settings = { delivery = "exactly_once" } }))
    assert_results(5000, true)
  end)
end)

kafka.describe("lanes in a rebalance", { input = { 4 }, output = { 4 } }, function(t)
  it('exactly_once with order = "key" has each message once when a member joins and leaves', function()
    local function feed(from, to)
      local messages = {}
      for i = from, to do
        messages[#messages + 1] = { key = "k" .. i % 40, value = tostring(i), partition = i % 40 % 4 }
      end
      kafka.produce(t.input, messages)
    end
    feed(1, 8000)
    local definition = t:definition { head = 'require("ffi").cdef "int poll(void *, unsigned long, int);"',
      task = 'function(m) require("ffi").C.poll(nil, 0, 2) return m end', commit = { policy = { min_time = "50ms" } },
      -- by which the first one hears of the second one long before it has done all
      source = { rdkafka = { ["session.timeout.ms"] = 6000, ["heartbeat.interval.ms"] = 300 } },
      task_options = { processes = 2, max_batch_size = 20, order = "key" }, settings = { delivery = "exactly_once" } }
    local first = engine.start(definition)
    wait.until_true(function() return first:total "produced" > 0 end, 30)
    local second = engine.start(definition)
    second:wait_for "partitions assigned"
    feed(8001, 12000) -- so that the second one has work, however far the first one is by now
    wait.until_true(function() return second:total "produced" > 0 end, 60)
    second:drain()
    wait.until_true(function() return #kafka.consume(t.output) >= 12000 end, 60)
    first:drain()
    local last, count = {}, 0
    for _, message in ipairs(kafka.consume(t.output)) do
      local number = tonumber(message.value)
      assert.is_true(number > (last[message.key] or 0), message.key)
      last[message.key] = number
      count = count + 1
    end
    assert.equal(12000, count)
  end)
end)
