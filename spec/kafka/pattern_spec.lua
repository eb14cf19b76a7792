-- SPDX-License-Identifier: MIT
-- Topics that are found by a pattern: those that come later, and those that must not be found.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local wait = require "spec.support.wait"

kafka.describe("a pattern", function(t)

  local function start(more, options)
    return engine.start(t:definition({ source = { pattern = "^" .. t.input, discovery_interval = "300ms" },
      commit = { policy = { min_time = "50ms" } } }, more), options)
  end

  it("a pattern with start = latest reads a topic that is made later from its beginning, and none"
    .. " before its end", function()
    kafka.produce(t.input, { { value = "old" } })
    local run = start { source = { start = "latest" } }
    run:wait_for "partitions assigned"
    wait.until_true(function() return kafka.committed(t.group, t.input)[0] == 1 end, "a committed beginning")
    run:signal "STOP" -- so that it holds something by the time it is found
    local later = kafka.topic(1, nil, t.input .. "-later")
    kafka.produce(later, inputs.numbers(1, 3))
    run:signal "CONT"
    inputs.wait_committed(t.group, later)
    run:drain()
    inputs.once(t.output, 3)
  end)

  it("a pattern does not find what the pipeline itself writes, and says so", function()
    local clean, letters = kafka.topic(1, nil, t.input .. ".clean"), kafka.topic(1, nil, t.input .. ".dlq")
    kafka.produce(t.input, { { value = "1" }, { value = "bad" } })
    local run = start { produce = { topic = clean }, dlq = { topic = letters },
      task = "function(m) if m.value == 'bad' then error('no good') end return m end" }
    inputs.wait_committed(t.group, t.input)
    local later = kafka.topic(1, nil, t.input .. "-later") -- once it is found, the others were looked at too
    kafka.produce(later, { { value = "2" } })
    inputs.wait_committed(t.group, later)
    run:drain()
    assert.same({ 3, 2, 1 }, { run:report().read, inputs.count(clean), inputs.count(letters) })
    for _, topic in ipairs { clean, letters } do
      assert.is_true(run:says(('the pattern "^%s" matches "%s", which this pipeline writes to: it is not read'):format(
        t.input, topic)), run:stderr())
      assert.same({}, kafka.committed(t.group, topic))
    end
  end)

  it("a pattern does not find Kafka's internal topics", function()
    kafka.produce(t.input, { { value = "1" } })
    kafka.commit(t.group, t.input, { [0] = 0 }) -- so that there are some
    local run = start({ source = { pattern = "^(__consumer_offsets|__transaction_state|" .. t.input .. ")$" } },
      { args = { "--until-end" } })
    run:ends_with(0)
    assert.equal(1, run:report().read)
    assert.same({}, kafka.committed(t.group, "__consumer_offsets"))
  end)
end)
