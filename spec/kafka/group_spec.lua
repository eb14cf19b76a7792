-- SPDX-License-Identifier: MIT
-- Several engines of one group: they join, leave and die under load.
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local COUNT = 40000

kafka.describe("a group", { partitions = 8 }, function(t)
  -- A member whose worker takes about 50 us a message, so that the load lasts. Default: a session of 2 s, so that the
  -- others soon have the partitions of one that died.
  local function member(instance, session_ms, debug)
    return engine.start(t:definition {
      source = { instance = instance, rdkafka = { ["session.timeout.ms"] = session_ms or 2000,
        ["heartbeat.interval.ms"] = 300, debug = debug and "cgrp" or nil } },
      commit = { policy = { min_time = "100ms" } },
      task = "function(message) local x = 0; for i = 1, 20000 do x = x + i % 7 end; return message end",
      task_options = { processes = 1, max_batch_size = 100 }, settings = { join_timeout = "10min" },
    }, { args = debug and { "--log-level", "debug" } or nil })
  end

  -- Feeds `count` more; numbers go on from what was fed before.
  local fed
  local function feed(count)
    kafka.produce(t.input, inputs.numbers(fed + 1, fed + count))
    fed = fed + count
  end

  local function wait_output(count)
    wait.until_true(function() return inputs.count(t.output) >= count end,
      function() return ("%d in the output, there are %d"):format(count, inputs.count(t.output)) end)
  end

  local function wait_committed()
    inputs.wait_committed(t.group, t.input)
  end

  before_each(function() t.input, t.output, t.group, fed = kafka.topic(8), kafka.topic(8), kafka.group(), 0 end)

  it("a group of three engines that join, leave and die under load brings every input out at least once", function()
    feed(COUNT)
    local stays = member()
    stays:wait_for("partitions assigned")
    local workers = stays:workers(1)
    local second, third = member(), member()
    second:wait_for("partitions assigned")
    third:wait_for("partitions assigned")
    wait_output(COUNT / 10)
    second:drain()
    feed(COUNT / 2)
    local fourth = member()
    fourth:wait_for("partitions assigned")
    wait_output(COUNT / 5)
    local pids = third:processes()
    third:signal("KILL")
    wait.until_true(function() return not third.process:running() and #process.living(pids) == 0 end,
      "the end of all of the third")
    wait_committed()
    assert.same(workers, stays:workers())
    assert.is_true(stays:says("partitions revoked"), stays:stderr())
    fourth:drain()
    stays:drain()
    inputs.at_least_once(t.output, fed)
    local report = stays:report()
    assert.equal(1, report.metrics["strategies.run_task_with_multiprocessing.pool.create"])
    assert.is_true(report.produced_from <= report.read)
  end)

  it("a group keeps the order of each key where no partition moved", function()
    feed(20000)
    local one, two = member(nil, 20000), member(nil, 20000)
    one:wait_for("partitions assigned")
    two:wait_for("partitions assigned")
    wait_committed()
    feed(20000) -- both have their partitions for good
    local before = inputs.count(t.output)
    wait_committed()
    one:drain()
    two:drain()
    local last, after = {}, 0
    for _, message in ipairs(kafka.consume(t.output)) do
      local number = tonumber(message.value)
      if number > 20000 then
        assert(number > (last[message.key] or 0), "out of order, or doubled: " .. number)
        last[message.key], after = number, after + 1
      end
    end
    assert.equal(20000, after)
    assert.is_true(before >= 20000)
  end)

  it("a group of named engines takes a restart without a rebalance of the others", function()
    feed(1000)
    local one, two = member("one", 20000), member("two", 20000)
    one:wait_for("partitions assigned")
    two:wait_for("partitions assigned")
    wait_committed()
    local _, revoked = one:stderr():gsub("partitions revoked", "")
    for _, name in ipairs { "KILL", "TERM" } do
      two:signal(name)
      two.process:wait()
      feed(1000)
      two = member("two", 20000)
      two:wait_for("partitions assigned")
      wait_committed()
      local _, revoked_now = one:stderr():gsub("partitions revoked", "")
      assert.equal(revoked, revoked_now)
    end
    inputs.at_least_once(t.output, fed)
    one:drain()
    two:drain()
  end)

  -- Such a request may also be of a process that was killed, and come late.
  it("a group of two engines that join at once with the same name ends one of them with 75, and not with 76", function()
    feed(100)
    local holds = member(nil, 30000) -- both wait for it to join again
    holds:wait_for "partitions assigned"
    holds:signal "STOP"
    local one = member("one", 30000, "debug")
    one:wait_for "-> wait-join"
    local other = member("one", 30000)
    wait.until_true(function() return not (one.process:running() and other.process:running()) end, "the end of one")
    local ended, goes_on = one, other
    if one.process:running() then ended, goes_on = other, one end
    ended:ends_with(75)
    assert.is_true(ended:says "another request to join as instance one came behind", ended:stderr())
    holds:signal "CONT"
    goes_on:wait_for "partitions assigned"
    wait_committed()
    goes_on:drain()
    holds:drain()
    inputs.at_least_once(t.output, fed)
  end)

  for name, count in pairs { ["under load"] = 20000, ["while it is idle"] = 100 } do
    it("a group of two engines with the same name ends the older one with 76, at once, " .. name, function()
      feed(count)
      local older = member("one", 20000)
      wait.until_true(function() return inputs.count(t.output) >= 100 end, "output")
      if count == 100 then wait_committed() end
      local newer = member("one", 20000)
      older:ends_with(76) -- far earlier than join_timeout
      assert.is_true(older:says("a newer process runs as instance one"), older:stderr())
      local _, failed = older:stderr():gsub("commit failed", "")
      assert.is_true(failed <= 1, failed .. " commits after it was told")
      feed(100)
      wait_committed()
      local _, assigned = newer:stderr():gsub("partitions assigned", "")
      assert.equal(1, assigned)
      assert.is_false(newer:says("partitions revoked"), newer:stderr())
      newer:drain()
      inputs.at_least_once(t.output, fed)
    end)
  end

  it("a group of a named engine reads what was added while it was away, and rebalances only then", function()
    local later = t.input .. "-later"
    local function named()
      return engine.start(t:definition { source = { pattern = "^" .. t.input, instance = "one",
        rdkafka = { ["session.timeout.ms"] = 30000 } }, commit = { policy = { min_time = "100ms" } } })
    end
    local run
    for round = 1, 3 do
      feed(100)
      if round == 3 then
        kafka.topic(2, nil, later)
        kafka.add_partitions(t.input, 10)
        kafka.produce(later, inputs.numbers(fed + 1, fed + 100))
        fed = fed + 100
      end
      run = named()
      run:wait_for("partitions assigned")
      wait_committed()
      if round < 3 then
        run:drain()
        local _, assigned = run:stderr():gsub("partitions assigned", "")
        assert.equal(1, assigned, run:stderr())
        assert.is_false(run:says("no member reads"), run:stderr())
      end
    end
    inputs.wait_committed(t.group, later)
    assert.is_true(run:says("no member reads"), run:stderr())
    for _, name in ipairs { t.input .. "/8", t.input .. "/9", later .. "/0", later .. "/1", "(4 in all)" } do
      assert.is_true(run:says(name), run:stderr())
    end
    run:drain()
    inputs.at_least_once(t.output, fed)
  end)

  for _, how in ipairs { "name", "pattern" } do
    it(("a group of a named engine reads what was added to a topic given by its %s while it was away, however long "
      .. "its coordinator loads"):format(how), function()
      local loaded = os.tmpname()
      os.remove(loaded)
      finally(function() os.remove(loaded) end)
      local function named(options)
        return engine.start(t:definition { source = { pattern = how == "pattern" and "^" .. t.input .. "$" or nil,
          instance = "one", rdkafka = { ["session.timeout.ms"] = 30000 } },
          commit = { policy = { min_time = "100ms" } } }, options)
      end
      local run = named()
      feed(100)
      wait_committed()
      run:drain()
      kafka.add_partitions(t.input, 10)
      feed(1000)
      run = named { program = faults.folder .. "/tidemill", args = { "--log-level", "debug" },
        env = { TIDE_FAULTS = "unowned.ask=1:shut:" .. loaded } }
      wait.until_true(function() -- more often than it asks in vain where nothing says that it passes
        return select(2, run:stderr():gsub("whether each partition is read is asked again", "")) > 5
      end, function() return "further questions: " .. run:stderr() end)
      assert(io.open(loaded, "w")):close()
      run:wait_for "no member reads"
      wait_committed()
      run:drain()
      inputs.at_least_once(t.output, fed)
    end)
  end
end)
