-- SPDX-License-Identifier: MIT
-- The cooperative protocol, which is refused with librdkafka before 2.10.0 (it loses assignments there, or hangs). The
-- engines here run with a newer one: TIDE_RDKAFKA is a folder with its librdkafka.so.1 (scripts/dev/rdkafka.sh).
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

kafka.describe("the cooperative protocol", { partitions = 8 }, function(t)
  local folder = os.getenv("TIDE_RDKAFKA")

  local function member(env)
    env = env or {}
    if env.LD_LIBRARY_PATH == nil then env.LD_LIBRARY_PATH = folder end
    return engine.start(t:definition {
      source = { rdkafka = { ["partition.assignment.strategy"] = "cooperative-sticky", ["session.timeout.ms"] = 6000,
        ["heartbeat.interval.ms"] = 300 } }, commit = { policy = { min_time = "100ms" } },
      task = "function(message) if os.getenv 'HANG' then while true do end end\n"
        .. "local x = 0; for i = 1, 20000 do x = x + i % 7 end; return message end",
      task_options = { processes = 1, max_batch_size = 100 }, settings = { message_timeout = "10min",
        env = { "HANG" } },
    }, { env = env })
  end

  it("the cooperative protocol is refused with an older librdkafka, by name", function()
    local _, version = process.run { engine.PROGRAM, "version" }
    if tonumber(version:match("librdkafka 2%.(%d+)")) >= 10 then return end
    local run = member { LD_LIBRARY_PATH = false }
    run:ends_with(78)
    assert.is_true(run:says("cooperative-sticky needs librdkafka 2.10.0, this is 2."), run:stderr())
  end)

  if not folder then return pending("needs a newer librdkafka (TIDE_RDKAFKA)") end

  it("the cooperative protocol moves only some partitions when engines join and leave under load; each"
    .. " input comes out once", function()
    local fed = 0
    local function feed(count)
      kafka.produce(t.input, inputs.numbers(fed + 1, fed + count))
      fed = fed + count
    end
    feed(30000)
    local stays = member()
    wait.until_true(function() return inputs.count(t.output) > 1000 end, "output")
    local workers = stays:workers()
    for _ = 1, 3 do
      local guest = member()
      wait.until_true(function() return guest:says("partitions assigned: " .. t.input) end, "partitions of its own")
      local before = guest:total("produced")
      feed(5000) -- the load may be over by now
      wait.until_true(function() return guest:total("produced") > before end, "work of the guest")
      guest:drain()
    end
    inputs.wait_committed(t.group, t.input)
    assert.same(workers, stays:workers())
    for revoked in stays:stderr():gmatch("partitions revoked: ([^\n]*)") do
      local _, count = revoked:gsub("/", "")
      assert.is_true(count < 8, revoked)
    end
    stays:drain()
    inputs.at_least_once(t.output, fed)
    local late = stays:report().metrics["consumer.late_reports"]
    assert.is_true(inputs.count(t.output) <= fed + late, inputs.count(t.output) .. " outputs, late: " .. late)
  end)

  it("the cooperative protocol does not wait for workers that hang", function()
    kafka.produce(t.input, inputs.numbers(1, 1000))
    local hangs = member { HANG = "yes" }
    wait.until_true(function() return hangs:says("batches 1 of 1") end, "a busy worker")
    local works = member()
    wait.until_true(function() return works:says("partitions assigned: " .. t.input) end, "partitions of its own")
    wait.until_true(function() return inputs.count(t.output) > 100 end, "output")
    hangs:signal("KILL")
    inputs.wait_committed(t.group, t.input)
    works:drain()
    inputs.once(t.output, 1000)
  end)
end)
