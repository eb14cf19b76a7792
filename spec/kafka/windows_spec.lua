-- SPDX-License-Identifier: MIT
-- Windows on a real Kafka: their values and timers are in the changelog, so each window closes once, with all of its
-- messages, whatever dies.
local cjson = require "cjson"
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local kafka_state = require "spec.support.kafka_state"
local wait = require "spec.support.wait"

local PARTITIONS, KEYS, COUNT, SIZE_MS, EACH_MS, BEGIN_MS = 3, 50, 6000, 10000, 40, 1769860800000

kafka.describe("windows", { input = { PARTITIONS }, output = { 1 } }, function(t)
  local state, folder

  kafka_state.each(function(name, path) state, folder = name, path end)

  -- `fault`: where it dies; `clock_after`: the option. Its member is the same each time, so that the next one need not
  -- wait for it.
  local function start(delivery, dir, fault, clock_after)
    local steps = [[tide.window { size = "%ds", time = "json:t", by = "key", state = "%s", processes = 2,
        max_batch_size = 40, clock_after = %s,
        add = function(n) local x = 0; for i = 1, 200000 do x = x + i %% 7 end; return (n or 0) + 1 end },
      tide.produce { topic = "%s" }]]
    return engine.start(t:definition {
      commit = { policy = { min_time = "50ms" } },
      source = { instance = "one", rdkafka = { ["session.timeout.ms"] = 6000, ["heartbeat.interval.ms"] = 300 } },
      steps = steps:format(SIZE_MS / 1000, state, clock_after or 0, t.output),
      settings = { state_dir = dir, delivery = delivery },
    }, { env = { TIDE_FAULTS = fault or "" }, program = faults.folder .. "/tidemill" })
  end

  -- Returns how many messages each window has, by "key from". `with_last`: messages come by which all of them close.
  local function fill(with_last)
    local messages, windows = {}, {}
    for i = 1, COUNT do
      local key, time = "k" .. i % KEYS, BEGIN_MS + i * EACH_MS
      messages[i] = { key = key, value = ('{"t":%d}'):format(time) }
      local window = ("%s %d"):format(key, time - time % SIZE_MS)
      windows[window] = (windows[window] or 0) + 1
    end
    for partition = 0, with_last and PARTITIONS - 1 or -1 do
      messages[#messages + 1] = { key = "last", partition = partition,
        value = ('{"t":%d}'):format(BEGIN_MS + COUNT * EACH_MS + 2 * SIZE_MS) }
    end
    kafka.produce(t.input, messages)
    return windows
  end

  local function assert_closed(windows, once)
    local closed = {}
    for _, message in ipairs(kafka.consume(t.output)) do
      local result = cjson.decode(message.value)
      local window = ("%s %d"):format(result.key, result.from)
      assert.equal(windows[window], result.value, window)
      assert.is_falsy(once and closed[window], window .. " twice")
      closed[window] = true
    end
    for window in pairs(windows) do assert.is_true(closed[window], window .. " has not closed") end
  end

  for _, delivery in ipairs { "at_least_once", "exactly_once" } do
    it("close once with all that is in them, through kill -9 and without state_dir: " .. delivery, function()
      local windows = fill(true)
      for number, fault in ipairs { "changelog.sent=20:kill9", "states.commit=2:kill9", "changelog.sent=20:kill9",
        "restore.portion=1:kill9" } do
        local dir = folder .. (number > 2 and number or "") -- lost from the third run on
        local run = start(delivery, dir, fault)
        assert.equal(137, run.process:wait(30), fault .. run:stderr())
      end
      local run = start(delivery, folder .. "-last")
      inputs.wait_committed(t.group, t.input)
      run:drain()
      assert_closed(windows, delivery == "exactly_once")
    end)
  end

  it("close by the clock where no message comes, once: exactly_once", function()
    local windows = fill(false)
    local first = start("exactly_once", folder)
    inputs.wait_committed(t.group, t.input)
    first:drain()
    for _, fault in ipairs { "changelog.sent=1:kill9", "states.commit=1:kill9" } do -- with the first commit there is
      local run = start("exactly_once", folder, fault, 0.2)
      assert.equal(137, run.process:wait(30), fault .. run:stderr())
    end
    local last = start("exactly_once", folder, nil, 0.2)
    local count = 0
    for _ in pairs(windows) do count = count + 1 end
    wait.until_true(function() return #kafka.consume(t.output) >= count end, function() return last:stderr() end)
    last:drain()
    assert_closed(windows, true)
  end)
end)
