-- SPDX-License-Identifier: MIT
-- tide.retry: a message is tried again, its partition waits and keeps its order, the others go on.
local C = require('tidemill.run.ffi').C
local flow = require 'spec.support.flow'
local support = require 'spec.support.shared'
local tide = require 'tidemill'

-- Counts of how often a value was run, and a switch.
local shared, clear = support.integers(1024)
local DOWN = 1000 -- of `shared`: whether the lookup is down; below: runs of each number

local function number_of(m) return tonumber(m.value:match '%d+') end

local function note(m)
  local number = number_of(m)
  shared[number] = shared[number] + 1
  return number
end

local function values_of(run, partition)
  local list = {}
  for _, result in ipairs(run:results()) do
    if result.partition == partition then list[#list + 1] = number_of(result) end
  end
  return list
end

local function odd_ones(from, to)
  local list = {}
  for i = from, to, 2 do list[#list + 1] = i end
  return list
end

describe('tide.retry', function()
  local fixture = flow.fixture()

  local function begin(options)
    options.message_timeout = 1e6 -- the clock is moved faster than workers are
    local run = fixture.new(options)
    run.turn = 0.001 -- seconds, at the most
    return run
  end

  before_each(clear)

  local function produced(count)
    return function() return fixture.run.engine:totals().produced == count end
  end

  -- Turns on, with the clock moved, until `fn`. It stands while a worker has a batch: how long that takes is not up to
  -- the spec.
  local function turn_on_until(fn)
    return fixture.run:turn_until(function(event)
      assert(event.kind ~= 'failed', event.text)
      if fixture.run:metric(1, 'BATCHES_IN_PROGRESS').last == 0 then C.tide_clock_advance(1e5) end
      return fn(event)
    end, function() return ('%d produced, %d in flight'):format(fixture.run.engine:totals().produced,
      fixture.run.engine:totals().in_flight) end)
  end

  local function down_for_one(m)
    note(m)
    if number_of(m) == 1 and shared[DOWN] == 1 then return tide.retry 'the lookup is down' end
    return m
  end

  for name, make in pairs {
    fused = function(fn) return fn end,
    ['a batch at once'] = function(fn)
      local path = os.tmpname()
      local file = assert(io.open(path, 'w'))
      file:write 'return { batch = FN }'
      file:close()
      _G.FN = function(list)
        local results = {}
        for i, m in ipairs(list) do results[i] = fn(m) end
        return results
      end
      return { kind = 'file', path = path }
    end,
  } do
    it('tide.retry keeps the order of its partition, and others go on: ' .. name, function()
      shared[DOWN] = 1
      local run = begin { partitions = 2, pools = { 2 }, steps = { { make(down_for_one), max_batch_size = 4 } } }
      run:push_numbers(40, 2) -- the odd ones in partition 0
      run:start()
      run:turn_until(produced(20))
      assert.same({}, values_of(run, 0))
      assert.same(20, #values_of(run, 1))
      assert.equal(0, run:committed(0) or 0)
      assert.equal(20, run:committed(1))
      run:push { value = '41', partition = 0 }
      run:push { value = '42', partition = 1 }
      run:turn_until(produced(21))
      assert.equal(0, shared[41]) -- it was not even run: it waits
      shared[DOWN] = 0
      turn_on_until(produced(42))
      assert.same(odd_ones(1, 41), values_of(run, 0))
      assert.equal('done', run:finish().kind)
      assert.equal(21, run:committed(0))
      assert.equal(shared[1] - 1, run:metric(1, 'MESSAGE_RETRY').count)
      assert.same({ 42, 42, 0, 0 }, { run.engine:totals().read, run.engine:totals().produced_from,
        run.engine:totals().filtered, run.engine:totals().in_flight })
    end)
  end

  it('tide.retry is for all of a batch, when a function that takes a batch returns it', function()
    shared[DOWN] = 1
    local path = os.tmpname()
    local file = assert(io.open(path, 'w'))
    file:write 'return { batch = FN }'
    file:close()
    _G.FN = function(list)
      for _, m in ipairs(list) do note(m) end
      if shared[DOWN] == 1 then return tide.retry 'down' end
      return list
    end
    local run = begin { partitions = 2, steps = { { { kind = 'file', path = path } } } }
    run:push_numbers(10, 2)
    run:start()
    run:turn_until(function() return run:metric(1, 'MESSAGE_RETRY').count >= 2 end)
    shared[DOWN] = 0
    turn_on_until(produced(10))
    assert.same({ 1, 3, 5, 7, 9 }, values_of(run, 0))
    assert.same({ 2, 4, 6, 8, 10 }, values_of(run, 1))
    os.remove(path)
  end)

  it('tide.retry makes a dead letter after retry_timeout, and goes on with the next', function()
    shared[DOWN] = 1
    local run = begin { dlq = true, retry_timeout = 60, steps = { { down_for_one } } }
    run:push_numbers(5)
    run:start()
    turn_on_until(function() return run.engine:totals().produced == 4 end)
    assert.equal('done', run:finish().kind)
    assert.same({ 2, 3, 4, 5 }, values_of(run, 0))
    local letter = require('cjson').decode(fixture.letters())
    assert.equal('retry_timeout', letter.reason)
    assert.equal('the lookup is down', letter.error)
    assert.is_true(tonumber(letter.attempts) > 5, letter.attempts)
    assert.equal(5, run:committed(0))
  end)

  it('tide.retry waits longer each time, ten seconds at the most, and says why once a minute', function()
    shared[DOWN] = 1
    local run = begin { steps = { { down_for_one } } }
    run:push_numbers(1)
    run:start()
    turn_on_until(function() return shared[1] >= 8 end) -- 0.1 + 0.2 + ... + 6.4
    local before = shared[1]
    local began = tonumber(C.tide_clock_us())
    turn_on_until(function() return shared[1] >= before + 2 end)
    assert.is_true(tonumber(C.tide_clock_us()) - began >= 9.9e6) -- one pause at the least
    shared[DOWN] = 0
    turn_on_until(produced(1))
  end)

  it('tide.retry of one result of tide.many is for its message: none of them leaves before', function()
    shared[DOWN] = 1
    local run = begin { steps = { { function(m) return tide.many { m, m.value .. 'b' } end, down_for_one } } }
    run:push_numbers(2)
    run:start()
    run:turn_until(function() return run:metric(1, 'MESSAGE_RETRY').count >= 1 end)
    assert.same({}, values_of(run, 0))
    shared[DOWN] = 0
    turn_on_until(produced(4))
    assert.same({ '1', '1b', '2', '2b' }, run:values())
  end)

  it('tide.retry holds up nothing else where messages were revoked while they wait', function()
    shared[DOWN] = 1
    local run = begin { partitions = 2, steps = { { down_for_one } } }
    run:push_numbers(6, 2)
    run:start()
    run:turn_until(produced(3))
    C.tide_memory_revoke(run.source, 0, false)
    run:turn_until(function() return run.engine:totals().dropped == 3 end)
    shared[DOWN] = 0
    C.tide_memory_end(run.source) -- the source has given it out again: it is read anew
    turn_on_until(function(event) return event.kind == 'done' end)
    assert.same({ 1, 3, 5 }, values_of(run, 0))
    assert.same({ 2, 4, 6 }, values_of(run, 1))
    assert.equal(3, run:committed(0))
  end)

  it('tide.retry is left uncommitted by a shutdown, after join_timeout', function()
    shared[DOWN] = 1
    local run = begin { partitions = 2, join_timeout = 1, steps = { { down_for_one } } }
    run:push_numbers(6, 2)
    run:start()
    run:turn_until(produced(3))
    run.engine:close()
    turn_on_until(function(event) return event.kind == 'done' end)
    assert.equal(0, run:committed(0) or 0)
    assert.equal(3, run:committed(1))
  end)

  it('tide.retry does not take the blame off a message that workers die of when it is tried again', function()
    local run = begin { dlq = true, steps = { { function(m)
      if note(m) ~= 1 then return m end
      if shared[1] == 1 then return tide.retry 'first' end
      support.kill()
    end } } }
    run:push_numbers(3)
    run:start()
    turn_on_until(produced(2))
    assert.equal('done', run:finish().kind)
    assert.same({ 2, 3 }, values_of(run, 0))
    assert.equal('crash', require('cjson').decode(fixture.letters()).reason)
  end)

  it('tide.retry stops reading once more waits than an input block may hold, and reads on later', function()
    shared[DOWN] = 1
    local run = begin { steps = { { down_for_one, input_block_size = 4096, max_input_block_size = 8192,
      auto = false } } }
    run:push_numbers(900, 1, 100)
    run:start()
    run:turn_until(function() return run:metric(1, 'MESSAGE_RETRY').count >= 1 end)
    for _ = 1, 50 do run.engine:run(0.01) end
    assert.is_true(run.engine:totals().read < 500, run.engine:totals().read)
    shared[DOWN] = 0
    turn_on_until(produced(900))
    for i, number in ipairs(values_of(run, 0)) do assert.equal(i, number) end
  end)

  it('tide.retry of a filter or an unfold is no wrong return', function()
    local tried = 0
    local run = begin { steps = { { { kind = 'filter', of = function()
      tried = tried + 1
      return tried == 1 and tide.retry 'no rules yet' or true
    end } } } }
    run:push_numbers(2)
    run:start()
    turn_on_until(produced(2))
    assert.same({ 1, 2 }, values_of(run, 0))
  end)

  describe('where a step reduces', function()
    local function sum(options)
      return { { kind = 'reduce', form = 'reduce', initial_value = 0, result = options.result, of = options.of },
        options.behind, max_batch_size = 4, max_batch_time = 3600, eager = false, reduce = true }
    end

    local function add(acc, m) return acc + number_of(m) end

    for name, options in pairs {
      ['of a message'] = { of = function(acc, m)
        note(m)
        if number_of(m) == 2 and shared[DOWN] == 1 then return tide.retry 'down' end
        return add(acc, m)
      end },
      ['of the result'] = { of = add, result = function(acc)
        return shared[DOWN] == 1 and acc == 10 and tide.retry 'down' or tostring(acc)
      end },
      ['of a function behind it'] = { of = add, behind = function(m)
        return shared[DOWN] == 1 and m.value == '10' and tide.retry 'down' or m
      end },
    } do
      it('tide.retry where a step reduces has the whole batch wait, and those behind it: ' .. name, function()
        options.result = options.result or tostring
        shared[DOWN] = 1
        local run = begin { pools = { 2 }, steps = { sum(options) } }
        run:push_numbers(8)
        run:start()
        run:turn_until(function() return run:metric(1, 'MESSAGE_RETRY').count >= 1 end)
        for _ = 1, 5 do run.engine:run(0.01) end
        assert.same({}, run:values())
        shared[DOWN] = 0
        turn_on_until(produced(2))
        assert.same({ '10', '26' }, run:values())
        assert.equal('done', run:finish().kind)
        assert.equal(8, run:committed(0))
      end)
    end

    it('tide.retry where a step reduces makes dead letters of all messages of the batch after retry_timeout', function()
      shared[DOWN] = 1
      local run = begin { dlq = true, retry_timeout = 60, steps = { sum { result = tostring, of = function(acc, m)
        return number_of(m) == 2 and shared[DOWN] == 1 and tide.retry 'down' or add(acc, m)
      end } } }
      run:push_numbers(8)
      run:start()
      turn_on_until(produced(1))
      assert.equal('done', run:finish().kind)
      assert.same({ '26' }, run:values())
      assert.equal(4, run.engine:totals().dead_lettered)
      for line in io.lines(fixture.dlq) do assert.equal('retry_timeout', require('cjson').decode(line).reason) end
    end)
  end)
end)
