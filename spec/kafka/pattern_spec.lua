-- SPDX-License-Identifier: MIT
-- Topics that are found by a pattern: those that come later, and those that must not be found.
local engine = require "spec.support.engine"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local wait = require "spec.support.wait"

describe("a pattern", function()
  if not kafka.bootstrap() then return pending("needs a Kafka") end

  local input, output, group

  before_each(function() input, output, group = kafka.topic(1), kafka.topic(1), kafka.group() end)
  after_each(engine.stop_all)

  local function start(more)
    local source = { pattern = "^" .. input, group = group, start = "earliest", discovery_interval = "300ms" }
    for name, value in pairs(more.source or {}) do source[name] = value end
    return engine.start({ source = source, produce = { topic = more.output or output }, dlq = more.dlq,
      task = more.task, commit = { policy = { min_time = "50ms" } } }, { args = more.args })
  end

  it("with start = latest reads a topic that is made later from its beginning, and none before its end", function()
    kafka.produce(input, { { value = "old" } })
    local run = start { source = { start = "latest" } }
    run:wait_for "partitions assigned"
    wait.until_true(function() return kafka.committed(group, input)[0] == 1 end, "a committed beginning")
    run:signal "STOP" -- so that it holds something by the time it is found
    local later = kafka.topic(1, nil, input .. "-later")
    kafka.produce(later, inputs.numbers(1, 3))
    run:signal "CONT"
    inputs.wait_committed(group, later)
    run:drain()
    inputs.once(output, 3)
  end)

  it("does not find what the pipeline itself writes, and says so", function()
    local clean, letters = kafka.topic(1, nil, input .. ".clean"), kafka.topic(1, nil, input .. ".dlq")
    kafka.produce(input, { { value = "1" }, { value = "bad" } })
    local run = start { output = clean, dlq = { topic = letters },
      task = "function(m) if m.value == 'bad' then error('no good') end return m end" }
    inputs.wait_committed(group, input, 2)
    local later = kafka.topic(1, nil, input .. "-later") -- found means that all of the pattern's topics were looked at
    kafka.produce(later, { { value = "2" } })
    inputs.wait_committed(group, later)
    run:drain()
    assert.same({ 3, 2, 1 }, { run:report().read, inputs.count(clean), inputs.count(letters) })
    for _, topic in ipairs { clean, letters } do
      assert.is_true(run:says(('the pattern "^%s" matches "%s", which this pipeline writes to: it is not read'):format(
        input, topic)), run:stderr())
      assert.same({}, kafka.committed(group, topic))
    end
  end)

  it("does not find Kafka's internal topics", function()
    kafka.produce(input, { { value = "1" } })
    kafka.commit(group, input, { [0] = 0 }) -- so that there are some
    local run = start { source = { pattern = "^(__consumer_offsets|__transaction_state|" .. input .. ")$" },
      args = { "--until-end" } }
    run:ends_with(0)
    assert.equal(1, run:report().read)
    assert.same({}, kafka.committed(group, "__consumer_offsets"))
  end)
end)
