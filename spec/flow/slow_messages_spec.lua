-- SPDX-License-Identifier: MIT
-- Slow messages on whole chains: which message it is that took long, as the engine saw it. A message is slow since a
-- spec holds it, and how long it took is the engine's own clock, which the spec moves meanwhile.
local ffi = require "ffi"
local C = require("tidemill.run.ffi").C
local flow = require "spec.support.flow"
local gate = require "spec.support.gate"
local support = require "spec.support.shared"

local held, release = support.integers(1024) -- the messages that are held, by their numbers
local MOST = 1000

local fixture = flow.fixture()

local function hold(message)
  local number = tonumber(message.value)
  while number < MOST and held[number] == 1 do ffi.C.poll(nil, 0, 1) end
  return message
end

describe("a slow message", function()
  local run

  before_each(release)
  after_each(release)

  local function begin(options, count)
    options.message_timeout = 1e6 -- the clock is moved faster than workers are
    run = fixture.new(options)
    run:push_numbers(count, options.partitions)
    return run:start()
  end

  local function seen_at(partition, offset)
    for _, slow in ipairs(run.engine:slow_messages()) do
      if slow.partition == partition and slow.offset == offset then return slow end
    end
  end

  -- The message is found at a worker, and is still there after so many seconds of the engine's clock.
  local function takes(partition, offset, seconds)
    local what = ("offset %d to be slow"):format(offset)
    run:turn_until(function() return seen_at(partition, offset) end, what)
    run:turn_until(function()
      C.tide_clock_advance(5e5) -- from one turn to the next no more than a second counts
      return seen_at(partition, offset).seconds >= seconds
    end, what)
  end

  it("is named with topic, partition and offset among fast ones", function()
    held[77] = 1
    begin({ partitions = 4, steps = { { hold } } }, 4000)
    takes(0, 19, 5)
    held[77] = 0
    assert.equal("done", run:finish().kind)
    local slowest = run.engine:slow_messages()[1]
    assert.same({ "in", 0, 19, 1 }, { slowest.topic, slowest.partition, slowest.offset, slowest.row })
  end)

  it("is named while it is still running", function()
    held[5] = 1
    begin({ steps = { { hold } } }, 10)
    takes(0, 4, 5)
    assert.equal(4, run.engine:slow_messages()[1].offset)
  end)

  it("comes before faster ones of the same batch", function()
    held[10], held[20], held[30] = 1, 1, 1
    begin({ steps = { { hold } } }, 1000)
    for _, case in ipairs { { 10, 5 }, { 20, 15 }, { 30, 10 } } do
      takes(0, case[1] - 1, case[2])
      held[case[1]] = 0
    end
    assert.equal("done", run:finish().kind)
    local order = {}
    for i = 1, 3 do order[i] = run.engine:slow_messages()[i].offset end
    assert.same({ 19, 29, 9 }, order)
  end)

  it("is the whole batch where a function has it at once", function()
    local path, closed = os.tmpname(), gate.new()
    finally(function()
      os.remove(path)
      gate.remove_all()
    end)
    local file = assert(io.open(path, "w"))
    file:write(([[return { batch = function(messages)
      while not io.open(%q) do end
      return messages
    end }]]):format(closed.path))
    file:close()
    begin({ steps = { { { kind = "file", path = path }, eager = false, max_batch_size = 8 } } }, 8)
    takes(0, 0, 5)
    closed:open()
    assert.equal("done", run:finish().kind)
    local slowest = run.engine:slow_messages()[1]
    assert.same({ 0, 8 }, { slowest.offset, slowest.messages })
  end)
end)
