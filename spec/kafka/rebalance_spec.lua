-- SPDX-License-Identifier: MIT
-- What a rebalance may not do: wait for user code, believe a report of an earlier assignment, commit what is another's.
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local gate = require "spec.support.gate"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local wait = require "spec.support.wait"

kafka.describe("a rebalance", { partitions = 4 }, function(t)
  after_each(gate.remove_all)

  local function member(more, env, session_ms)
    local made = t:definition({
      source = { rdkafka = { ["session.timeout.ms"] = session_ms or 6000, ["heartbeat.interval.ms"] = 300 } },
      commit = { policy = { min_time = "100ms" } },
      task = "function(message) if os.getenv 'HANG' then while true do end end return message end",
      task_options = { processes = 2, max_batch_size = 10 },
      settings = { join_timeout = "100ms", message_timeout = "10min", env = { "HANG" } },
    }, more)
    return engine.start(made, { env = env, program = env and env.TIDE_FAULTS and faults.folder .. "/tidemill" })
  end

  local function feed(first, last) kafka.produce(t.input, inputs.numbers(first, last)) end

  local function committed()
    local sum = 0
    for _, offset in pairs(kafka.committed(t.group, t.input)) do sum = sum + offset end
    return sum
  end

  -- Waits until a member has committed all of the partitions that it was assigned last. What it has sent and not heard
  -- of when another leaves would be revoked from it, and be there twice.
  local function wait_own_committed(run)
    local text
    for found in run:stderr():gmatch "partitions assigned: ([^\n]*)\n" do text = found end
    local partitions = {}
    for partition in text:gmatch "/(%d+)" do partitions[#partitions + 1] = tonumber(partition) end
    assert.is_true(#partitions > 0, text)
    wait.until_true(function()
      local so_far, ends = kafka.committed(t.group, t.input), kafka.ends(t.input)
      for _, partition in ipairs(partitions) do
        if (so_far[partition] or 0) ~= ends[partition] then return false end
      end
      return true
    end, "the commits of " .. text)
  end

  local function times(run, text)
    return select(2, run:stderr():gsub(text, ""))
  end

  it("a rebalance does not wait for workers that hang, and keeps them", function()
    feed(1, 100)
    local hangs = member(nil, { HANG = "yes" })
    wait.until_true(function() return hangs:says("batches 2 of 2") end, "two busy workers")
    local workers = hangs:workers(2) -- batches are counted before there are workers for them
    local works = member()
    works:wait_for("partitions assigned")
    wait.until_true(function() return times(hangs, "partitions assigned") >= 2 end, "the assignment of the rest")
    assert.same(workers, hangs:workers())
    wait_own_committed(works)
    assert.is_true(committed() > 0, "the other has taken nothing over")
    hangs:drain()
    inputs.wait_committed(t.group, t.input)
    inputs.once(t.output, 100)
    local report = hangs:report()
    assert.is_true(report.dropped >= 2, report.dropped .. " dropped") -- the two that hang at least
    assert.same({ 0, report.read }, { report.produced, report.dropped })
    assert.equal(1, report.metrics["strategies.run_task_with_multiprocessing.pool.create"])
  end)

  it("a rebalance takes as long as its commit and a moment, with every worker hanging", function()
    feed(1, 100)
    local first = member { commit = { policy = { min_time = "10min" } },
      task = "function(message) if tonumber(message.value) > 100 then while true do end end return message end" }
    wait.until_true(function() return first:total("produced") == 100 end, "100 delivered")
    feed(101, 200)
    wait.until_true(function() return first:says("batches 2 of 2") end, "two busy workers")
    assert.equal(0, committed())
    local second = member()
    second:wait_for("partitions assigned")
    assert.is_true(committed() >= 100, committed() .. " committed by the revocation")
    wait_own_committed(second)
    first:drain()
    local metrics = first:report().metrics
    local commit = metrics["consumer.commit.time"].max
    local took = metrics["consumer.run.callback{callback_name=on_partitions_revoked}"].max
    -- It is 0.1 s beside the commit; what hangs would be waited for until message_timeout, 10 minutes.
    assert.is_true(took > 0 and took <= commit + 60, ("%g s, its commit %g s"):format(took, commit))
    inputs.wait_committed(t.group, t.input)
    inputs.once(t.output, 200)
  end)

  it("a rebalance leaves reports of an earlier assignment uncounted: who has the partition now reads"
    .. " them again", function()
    local reports = gate.new()
    local first = member(nil, { TIDE_FAULTS = "kafka.reports_held=1:shut:" .. reports.path })
    first:wait_for("partitions assigned")
    feed(1, 100)
    wait.until_true(function() return inputs.count(t.output) == 100 end, "all to be delivered")
    local second = member()
    second:wait_for("partitions assigned")
    reports:open()
    inputs.wait_committed(t.group, t.input)
    first:drain()
    second:drain()
    inputs.at_least_once(t.output, 100)
    local report = first:report()
    local late = report.metrics["consumer.late_reports"]
    assert.is_true(late > 0, late .. " late reports")
    assert.equal(inputs.count(t.output), 100 + late) -- each of them is there twice
    assert.equal(report.read, report.produced_from + report.dropped)
  end)

  it("a rebalance loses nothing ten times in a row", function()
    feed(1, 20000)
    local task = "function(message) local x = 0; for i = 1, 20000 do x = x + i % 7 end; return message end"
    local stays = member { task = task, settings = { join_timeout = "25s" } }
    stays:wait_for("partitions assigned")
    local workers = stays:workers(2)
    while times(stays, "partitions revoked") < 10 do
      local guest = member { task = task }
      guest:wait_for("partitions assigned")
      feed(1, 1000) -- again, so that the load lasts
      guest:drain()
    end
    inputs.wait_committed(t.group, t.input)
    assert.same(workers, stays:workers())
    stays:drain()
    inputs.at_least_once(t.output, 20000)
  end)

  it("a rebalance that an engine slept through takes its partitions as lost: no commit, and nothing is lost", function()
    feed(1, 20000)
    local task = "function(message) local x = 0; for i = 1, 20000 do x = x + i % 7 end; return message end"
    local sleeps = member({ task = task }, nil, 2000)
    wait.until_true(function() return committed() > 1000 end, "the first thousand")
    sleeps:signal("STOP")
    local works = member { task = task }
    works:wait_for("partitions assigned")
    inputs.wait_committed(t.group, t.input)
    sleeps:signal("CONT")
    sleeps:wait_for("partitions lost")
    wait.until_true(function() return times(sleeps, "partitions assigned") >= 2 end, "partitions again")
    inputs.wait_committed(t.group, t.input)
    feed(20001, 20100)
    inputs.wait_committed(t.group, t.input)
    sleeps:drain()
    works:drain()
    inputs.at_least_once(t.output, 20100)
  end)
end)
