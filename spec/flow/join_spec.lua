-- SPDX-License-Identifier: MIT
-- Topics that are read into one state: a partition of each is a partition of the state, with one watermark.
local testing = require 'tidemill.testing'
local pipeline_file = require 'spec.support.pipeline_file'
local process = require 'spec.support.process'
local PROGRAM = require('spec.support.program').path
local C = require('tidemill.run.ffi').C

describe('two topics in one state', function()
  after_each(function()
    testing.close()
    pipeline_file.remove_all()
  end)

  local function open(body, options)
    local path = pipeline_file.write(([[
local tide = require "tidemill"
return tide.pipeline "joins" {
  tide.kafka_source { brokers = "b", topics = { "a", "b" }, group = "g" },
  tide.keyed { function(message, state)
    %s
  end, state = "s", processes = 2, %s },
  tide.produce { topic = "out" },
  state_dir = "unused" }
]]):format(body, options or 'time = "timestamp"'))
    return testing.pipeline(path, { partitions = 2 }), path
  end

  local COUNT = [[
    local both = state.value or { a = 0, b = 0 }
    both[message.topic] = both[message.topic] + 1
    state.value = both
    if message.value == "filter" then return nil end
    return message.topic .. " " .. both.a .. " " .. both.b]]

  it('sees what messages of the other topic wrote, of the same partition', function()
    local test = open(COUNT, 'max_batch_size = 10')
    test:feed({ topic = 'a', key = 'k' }, { topic = 'b', key = 'k', partition = 1 })
    test:feed({ topic = 'b', key = 'k' })
    test:feed({ topic = 'a', key = 'k', partition = 1 })
    assert.same({ 'a 1 0', 'b 0 1', 'b 1 1', 'a 1 1' }, test:values())
  end)

  it('counts each message once when partitions are revoked while one topic is ahead of the other', function()
    local test = open(COUNT, 'max_batch_size = 10')
    C.tide_memory_hold(test.sink, true) -- so the message of b is not complete, and that of a is
    test:feed({ topic = 'b', key = 'k' })
    test:feed({ topic = 'a', key = 'k', value = 'filter' })
    assert.equal(0, test:committed(0) or 0)
    C.tide_memory_hold(test.sink, false)
    for index = 0, 2, 2 do C.tide_memory_revoke(test.source, index, true) end -- lost
    test:feed({ topic = 'a', key = 'k' })
    local values = test:values()
    assert.equal('a 2 1', values[#values])
  end)

  local TIMERS = [[
    if message.timer then return state.key .. " " .. message.timer .. " " .. state.watermark end
    if message.value == "show" then return state.key .. " " .. tostring(state.watermark) end
    state:timer(message.timestamp + 10)]]

  local function sorted(list)
    table.sort(list)
    return list
  end

  it('has the watermark of the topic that is behind, in each partition', function()
    local test = open(TIMERS)
    test:feed({ topic = 'a', key = 'k', timestamp = 100 }, { topic = 'a', key = 'l', timestamp = 500 })
    assert.same({}, test:values()) -- nothing is known of b
    test:feed({ topic = 'b', key = 'm', timestamp = 109 }, { topic = 'b', key = 'n', timestamp = 900, partition = 1 })
    assert.same({}, test:values())
    test:feed({ topic = 'b', key = 'o', timestamp = 120 })
    assert.same({ 'k 110 110', 'm 119 119' }, sorted(test:values()))
    test:feed({ topic = 'a', key = 'x', value = 'show', timestamp = 600 })
    assert.equal('x 120', test:values()[3])
    test:watermark(510, 0)
    assert.same({ 'k 110 110', 'l 510 510', 'm 119 119', 'o 130 130', 'x 120' }, sorted(test:values()))
  end)

  it('gives a message the watermark as it was when the message was read', function()
    local test = open [[
    if message.timer then return "timer" end
    if message.value == "slow" then local x = 0 for i = 1, 2e7 do x = x + i % 7 end end
    return message.key .. " " .. tostring(state.watermark)]]
    test:feed({ topic = 'a', key = 'p', timestamp = 100 }, { topic = 'b', key = 'p', timestamp = 100 })
    test:push { topic = 'a', key = 'slow', value = 'slow', timestamp = 200 }
    for i = 1, 50 do -- behind it in the same lane, while both topics get on
      test:push { topic = 'a', key = 'slow', timestamp = 200 + i }
      test:push { topic = 'b', key = 'q', timestamp = 200 + i }
    end
    test:feed()
    local seen = {}
    for _, value in ipairs(test:values()) do seen[#seen + 1] = value:match '^slow (%d+)' end
    assert.equal(51, #seen)
    for i = 2, #seen do assert.is_true(tonumber(seen[i]) >= tonumber(seen[i - 1])) end
    assert.equal('100', seen[1])
  end)

  it('leaves a topic out that is idle, until it has a message again', function()
    local test = open(TIMERS, 'time = "timestamp", idle = "1h"')
    test:feed({ topic = 'a', key = 'k', timestamp = 100 }, { topic = 'b', key = 'b', timestamp = 50 })
    test:feed({ topic = 'a', key = 'l', timestamp = 200 })
    test:advance '59min'
    test:feed({ topic = 'a', key = 'm', timestamp = 300 })
    assert.same({}, test:values())
    test:advance '2min'
    test:feed({ topic = 'a', key = 'n', timestamp = 400 })
    assert.same({ 'b 60 60', 'k 110 110', 'l 210 210', 'm 310 310' }, sorted(test:values()))
    test:feed({ topic = 'b', key = 'x', value = 'show', timestamp = 70 }) -- late, and it holds the watermark again
    test:feed({ topic = 'a', key = 'o', timestamp = 900 })
    assert.equal('x 400', test:values()[5])
    assert.equal(5, #test:values())
  end)

  it('waits for an idle topic with idle = 0', function()
    local test = open(TIMERS, 'time = "timestamp", idle = 0')
    test:feed({ topic = 'a', key = 'k', timestamp = 100 }, { topic = 'b', key = 'b', timestamp = 50 })
    test:advance '2h'
    test:feed({ topic = 'a', key = 'n', timestamp = 400 })
    assert.same({}, test:values())
  end)

  it('keeps the watermark of each topic with the state', function()
    local test = open(TIMERS)
    test:feed({ topic = 'a', key = 'k', timestamp = 100 }, { topic = 'b', key = 'b', timestamp = 105 })
    test:revoke(0)
    test:feed({ topic = 'a', key = 'x', value = 'show', timestamp = 108 })
    assert.same({ 'x 100' }, test:values())
    test:feed({ topic = 'a', key = 'y', timestamp = 120 })
    test:feed({ topic = 'b', key = 'z', timestamp = 115 })
    assert.same({ 'b 115 115', 'k 110 110', 'x 100' }, sorted(test:values()))
  end)

  it('takes the topics of recorded messages in replay, and in tidemill try', function()
    local test, pipeline = open(COUNT, 'max_batch_size = 10')
    local path = os.tmpname()
    local file = assert(io.open(path, 'w'))
    file:write '{"topic":"b","key":"k","headers":[],"value":"x"}\n{"topic":"a","key":"k","headers":[],"value":"x"}\n'
    file:close()
    test:replay(path)
    assert.same({ 'b 0 1', 'a 1 1' }, test:values())
    local code, out, err = process.run { PROGRAM, 'try', pipeline, '--input', path }
    os.remove(path)
    assert.equal(0, code, err)
    assert.is_truthy(out:find('b 0 1.*a 1 1'), out)
  end)

  it('is refused by name with a pattern, and with another way to assign partitions', function()
    local function faults(source, more)
      local path = pipeline_file.write(('local tide = require "tidemill"\nreturn tide.pipeline "x" {\n'
        .. 'tide.kafka_source { brokers = "b", group = "g", %s },\n'
        .. 'tide.keyed { function() end, state = "s" }, state_dir = "x"%s }'):format(source, more or ''))
      local _, texts = require('tidemill.plan.plan').load(path, {})
      return table.concat(texts or {}, '\n')
    end
    assert.equal('', faults 'topics = { "a", "b" }')
    assert.equal('', faults 'topics = { "a", "b" }, rdkafka = { ["partition.assignment.strategy"] = "range" }')
    local pattern = faults 'topics = { "a", "^b" }'
    assert.is_truthy(pattern:find('p.lua:4: keyed: state needs a kafka_source whose topics have names', 1, true))
    local other = faults 'topics = { "a", "b" }, rdkafka = { ["partition.assignment.strategy"] = "roundrobin" }'
    local words = 'p.lua:4: keyed: the state of several topics needs partition.assignment.strategy = "range"'
    assert.is_truthy(other:find(words, 1, true))
    assert.equal('', faults 'topic = "a", rdkafka = { ["partition.assignment.strategy"] = "roundrobin" }')
  end)
end)
