-- SPDX-License-Identifier: MIT
-- Workers that die: a lost one is replaced, its batch finished, and only the message it died of is touched.
local bit = require 'bit'
local ffi = require 'ffi'
local flow = require 'spec.support.flow'
local C = require('tidemill.run.ffi').C

pcall(ffi.cdef, 'int kill(int pid, int signal);')
pcall(ffi.cdef, 'int getpid(void);')
local SIGKILL, SIGSTOP = 9, 19

describe('a worker that is lost', function()
  local fixture = flow.fixture()

  for _, index in ipairs { 1, 2, 31, 63, 64 } do
    it('a worker that is lost costs only the message that kills it, at place ' .. index .. ' of a batch', function()
      local run = fixture.new { dlq = true, steps = { { function(message)
        if message.value == tostring(index) then ffi.C.kill(ffi.C.getpid(), SIGKILL) end
        return message.value .. '!'
      end, max_batch_size = 64, eager = false } } }
      run:push_numbers(64)
      assert.equal('done', run:finish().kind)
      local values, at = run:values(), 0
      assert.equal(63, #values)
      for i = 1, 64 do
        if i ~= index then
          at = at + 1
          assert.equal(i .. '!', values[at])
        end
      end
      local text = fixture.letters()
      assert.equal(1, select(2, text:gsub('\n', '')))
      assert.matches('"reason":"crash"', text)
      assert.matches('"cause":"SIGKILL"', text)
      assert.matches('"attempts":2', text)
      assert.matches('"original_offset":' .. (index - 1), text)
      assert.equal(2, run:metric(1, 'WORKER_LOST_SIGNAL').count)
      -- Behind the last message there is nothing to wait for the second new worker.
      local respawned = run:metric(1, 'WORKER_RESPAWN_TIME').count
      assert.is_true(respawned == 2 or index == 64 and respawned == 1, respawned .. ' workers were replaced')
      assert.equal(64, run:committed())
    end)
  end

  it('a worker that is lost is replaced without blame when it is killed from outside: nothing is lost'
    .. ' or doubled', function()
    -- A message may be hit in its second run as well: chance must not make that look like its fault.
    local run = fixture.new { pools = { 2 }, partitions = 4, steps = { { function(message)
      local busy = 0
      for i = 1, 3000 do busy = bit.bxor(busy, i) end
      return busy >= 0 and message
    end, max_batch_size = 100, crash_retries = 100 } } }
    run.turn = 0.001
    run:start()
    local kills, total = 0, 0
    run:turn_until(function(event)
      if kills < 20 and run.engine:totals().in_flight < 2000 then
        run:push_numbers(4000, 4)
        total = total + 4000
      end
      -- Most kills meet a worker inside the loop: its message is run once more, alone, and passes.
      local pid = run.engine:worker_pid(0, kills % 2)
      if pid and kills < 20 and run.engine:totals().produced > kills * 2000 then
        ffi.C.kill(pid, SIGKILL)
        kills = kills + 1
      end
      return kills == 20 and run.engine:totals().produced == total or event.kind == 'failed'
    end)
    assert.equal('done', run:finish().kind)
    assert.equal(20, kills)
    local last, results = {}, run:results()
    assert.equal(total, #results)
    for _, result in ipairs(results) do
      assert.equal((last[result.partition] or -1) + 1, result.offset)
      last[result.partition] = result.offset
    end
    assert.is_true(run:balanced())
  end)

  it('a worker that is lost is no reason to blame a message that workers die of only after others', function()
    local count = 400
    local run = fixture.new { dlq = true, pools = { 2 }, steps = { { function(message)
      if tonumber(message.value) % 10 == 0 and rawget(_G, 'spoilt') then ffi.C.kill(ffi.C.getpid(), SIGKILL) end
      rawset(_G, 'spoilt', true)
      return message.value
    end, max_batch_size = 8, eager = false } } }
    run:push_numbers(count)
    assert.equal('done', run:finish().kind)
    assert.equal('', fixture.letters())
    assert.equal(count, #run:values())
    assert.equal(count, run:committed())
    assert.is_true(run:metric(1, 'WORKER_LOST_SIGNAL').count >= count / 10 - 2)
  end)

  it('a worker stops the pipeline with 65 when there is no dlq, naming the message and the'
    .. ' cause', function()
    local run = fixture.new { steps = { { function(message)
      if message.value == '5' then ffi.C.kill(ffi.C.getpid(), 6) end
      return message
    end, max_batch_size = 8, eager = false } } }
    run:push_numbers(10)
    local event = run:finish()
    assert.equal('failed', event.kind)
    assert.equal(-65, event.status)
    assert.matches('in/0/4: crash: .*SIGABRT', event.text)
    assert.is_true((run:committed() or 0) <= 4)
  end)

  for name, hang in pairs {
    ['a compiled loop'] = function() while true do end end,
    ['a C function'] = function() return (('a'):rep(40)):find(('a*'):rep(30) .. 'b') end,
    ['a sleep'] = function() ffi.C.poll(nil, 0, 100000) end,
    ['a stop'] = function() ffi.C.kill(ffi.C.getpid(), SIGSTOP) end,
  } do
    it('a worker is killed from outside when one message takes longer than message_timeout: ' .. name, function()
      local run = fixture.new { dlq = true, message_timeout = 60, steps = { { function(message)
        if message.value == '5' then hang() end
        return message
      end, max_batch_size = 10 } } }
      run:push_numbers(20)
      run:outlast(4)
      assert.equal('done', run:finish().kind)
      assert.equal(19, #run:values())
      local text = fixture.letters()
      assert.matches('"reason":"timeout"', text)
      assert.matches('"attempts":1', text)
      assert.matches('"original_offset":4', text)
      assert.equal(1, run:metric(1, 'WORKER_LOST_SIGNAL').count)
    end)
  end

  it('a worker that hangs holds back what is behind its message, and nothing else: others work on', function()
    local ran = os.tmpname()
    finally(function() os.remove(ran) end)
    local run = fixture.new { dlq = '/dev/null', pools = { 1, 2 }, message_timeout = 60, steps = {
      { function(message) return message end, pool = 0, max_batch_size = 10 },
      { function(message)
        if message.value == '15' then ffi.C.poll(nil, 0, 100000) end
        local file = io.open(ran, 'a')
        file:write(message.value, '\n')
        file:close()
        return message
      end, pool = 1, max_batch_size = 10, max_batch_time = 3600, eager = false } } }
    run:push_numbers(50)
    run:start()
    local function others_work()
      for line in io.lines(ran) do
        if tonumber(line) > 20 then return true end
      end
    end
    run:turn_until(function() return others_work() and run.engine:totals().produced == 10 end)
    run:turn_until(function() return run:metric(1, 'MESSAGE_TIME').count == 50 end)
    assert.equal(10, run.engine:totals().produced)
    assert.equal(0, run:metric(2, 'WORKER_LOST_SIGNAL').count)
    for _ = 1, 62 do -- not more: by this clock the zygote has ten seconds to end the worker
      C.tide_clock_advance(1e6) -- at most a second counts between two looks
      run.engine:run(0.01)
    end
    run:turn_until(function() return run:metric(2, 'WORKER_LOST_SIGNAL').count == 1 end)
    assert.equal('done', run:finish().kind)
    local values = run:values()
    assert.equal(49, #values)
    for i, value in ipairs(values) do assert.equal(tostring(i < 15 and i or i + 1), value) end
    assert.equal(1, run:metric(2, 'WORKER_LOST_SIGNAL').count)
  end)

  it('a worker has as many fellows as are asked for, whatever the zygote can take at once', function()
    local run = fixture.new { pools = { 400 }, steps = { { function(message) return message end, max_batch_size = 1,
      max_input_block_size = 65536, max_output_block_size = 65536, input_block_size = 65536,
      output_block_size = 65536 } } }
    run:push_numbers(10)
    assert.equal('done', run:finish().kind)
    assert.equal(10, #run:values())
  end)

  it('a worker is not late while the engine itself stood still', function()
    local gate = os.tmpname()
    os.remove(gate)
    finally(function() os.remove(gate) end)
    local run = fixture.new { message_timeout = 50, steps = { { function(message)
      repeat
        ffi.C.poll(nil, 0, 1)
        local file = io.open(gate)
      until file
      return message
    end } } }
    run:push '1'
    run:start()
    run:turn_until(function() return run:metric(1, 'BATCHES_IN_PROGRESS').last == 1 end)
    for _ = 1, 3 do run.engine:run(0.01) end -- the worker was seen at the message
    C.tide_clock_advance(600e6) -- one look later ten minutes have passed: a second of them counts
    for _ = 1, 3 do run.engine:run(0.01) end
    assert(io.open(gate, 'w')):close()
    assert.equal('done', run:finish().kind)
    assert.equal(0, run:metric(1, 'WORKER_LOST_SIGNAL').count)
  end)

  it('a worker does not blame a message for an exit between batches', function()
    local run = fixture.new { steps = { { function(message) return message end } } }
    run:push '1'
    run:start()
    run:turn_until(function() return run.engine:totals().produced == 1 and run.engine:worker_pid(0, 0) end)
    local pid = run.engine:worker_pid(0, 0)
    ffi.C.kill(pid, SIGKILL)
    run:turn_until(function() return run.engine:worker_pid(0, 0) and run.engine:worker_pid(0, 0) ~= pid end)
    run:push '2'
    assert.equal('done', run:finish().kind)
    assert.same({ '1', '2' }, run:values())
  end)

  local function transform(text)
    local path = os.tmpname()
    local out = assert(io.open(path, 'w'))
    out:write(text)
    out:close()
    finally(function() os.remove(path) end)
    return { { kind = 'file', path = path } }, path
  end

  it('a worker ends with 78 and the text of its start hook when that fails', function()
    local step, path = transform [[return {
      start = function() error("no licence") end,
      process = function(m) return m end }]]
    local run = fixture.new { pools = { 2 }, steps = { step } }
    run:push '1'
    local event = run:finish()
    assert.equal(-78, event.status)
    assert.truthy(event.text:find('start: ' .. path .. ':2: no licence', 1, true), event.text)
    assert.is_nil(event.text:find('run/transforms.lua', 1, true), event.text)
    assert.is_true((run:committed() or 0) <= 0)
  end)

  it('a worker ends with 75, to be started again, when its start hook says tide.retry', function()
    local step, path = transform [[return {
      start = function() return require("tidemill").retry("redis: connection refused") end,
      process = function(m) return m end }]]
    local run = fixture.new { pools = { 2 }, steps = { step } }
    run:push '1'
    local event = run:finish()
    assert.equal(-75, event.status)
    assert.equal('start: ' .. path .. ':2: redis: connection refused', event.text)
    assert.is_true((run:committed() or 0) <= 0)
  end)

  it('a worker ends with 78 when its start hook says tide.reject, which is of messages', function()
    local step, path = transform [[return {
      start = function() return require("tidemill").reject("no licence") end,
      process = function(m) return m end }]]
    local run = fixture.new { pools = { 2 }, steps = { step } }
    run:push '1'
    local event = run:finish()
    assert.equal(-78, event.status)
    assert.truthy(event.text:find('start: ' .. path .. ':2 returned tide.reject: no licence; ', 1, true), event.text)
    assert.same({}, run:values())
  end)

  for name, case in pairs {
    retry = { 'tide.retry "lookup is down"', -75, ':3: lookup is down' },
    reject = { 'tide.reject "lookup is down"', -78, ':3 returned tide.reject: lookup is down; ' },
    many = { 'tide.many {}', -78, ':3 returned tide.many; ' },
    value = { '{ 1 }' },
  } do
    it('a worker does not begin with what its init hook could not load: ' .. name, function()
      local step, path = transform(([[local tide = require "tidemill"
return {
  init = function() return %s end,
  process = function(m) return m end }]]):format(case[1]))
      local made, problem, status = flow.new { steps = { step } }
      fixture.run = made
      assert.equal(case[2], status)
      if status then assert.equal('init: ' .. path .. case[3], problem:sub(1, #path + #case[3] + 6)) end
    end)
  end

  it('a worker ends with 75 when a start hook fails that went well before: five times in a row', function()
    local flag = os.tmpname()
    os.remove(flag)
    local step = transform(([[return {
      start = function() if io.open %q then error("no answer from the database") end end,
      process = function(m) return m end }]]):format(flag))
    local run = fixture.new { steps = { step } }
    run:push '1'
    run:start()
    run:turn_until(function() return run.engine:totals().produced == 1 and run.engine:worker_pid(0, 0) end)
    assert(io.open(flag, 'w')):close()
    finally(function() os.remove(flag) end)
    ffi.C.kill(run.engine:worker_pid(0, 0), SIGKILL)
    run:turn_until(function(event) return event.kind == 'failed' end)
    assert.equal(-75, run.last.status)
    assert.matches('died 5 times in a row before it was ready: start: .*no answer from the database', run.last.text)
    assert.equal(1, run:committed())
  end)

  it('an engine without its zygote stops with 75', function()
    local run = fixture.new { steps = { { function(message) return message end } } }
    run:push '1'
    run:start()
    run:turn_until(function() return run.engine:totals().produced == 1 end)
    ffi.C.kill(run.engine:zygote_pid(), SIGKILL)
    run:turn_until(function(event) return event.kind == 'failed' end)
    assert.equal(-75, run.last.status)
  end)

  it('a worker keeps its pids over revocations', function()
    local run = fixture.new { pools = { 2 }, partitions = 2, steps = { { function(message) return message end } } }
    run:push_numbers(100, 2)
    run:start()
    run:turn_until(function()
      return run.engine:totals().produced == 100 and run.engine:worker_pid(0, 0) and run.engine:worker_pid(0, 1)
    end)
    local a, b = run.engine:worker_pid(0, 0), run.engine:worker_pid(0, 1)
    for _ = 1, 3 do
      C.tide_memory_revoke(run.source, 0, false)
      local seen = #run.events
      run:turn_until(function(event) return event.kind == 'assigned' and #run.events > seen end)
      assert.equal(a, run.engine:worker_pid(0, 0))
      assert.equal(b, run.engine:worker_pid(0, 1))
    end
  end)
end)

describe('a revocation', function()
  local fixture = flow.fixture()

  it('a revocation never waits for user code, and drops what is not released', function()
    local run = fixture.new { pools = { 1 }, partitions = 2, message_timeout = 600, steps = { { function(message)
      if message.value == 'hang' then ffi.C.kill(ffi.C.getpid(), SIGSTOP) end
      return message
    end, max_batch_size = 1 } } }
    run:push { value = '1', partition = 0 }
    run:push { value = '2', partition = 1 }
    run:start()
    run:turn_until(function() return run.engine:totals().produced == 2 end)
    run:push { value = 'hang', partition = 0 }
    run:turn_until(function() return run.engine:totals().read == 3 and run.engine:worker_pid(0, 0) end)
    local pid = run.engine:worker_pid(0, 0)
    C.tide_memory_revoke(run.source, 0, false)
    run:turn_until(function(event) return event.kind == 'revoked' end)
    run:turn_until(function() return run.engine:totals().dropped == 1 end)
    assert.equal(1, run:committed(0))
    ffi.C.kill(pid, SIGKILL)
    assert.is_true(run:balanced())
  end)

  it('a revocation commits what is acknowledged, and the next owner reads the rest again', function()
    local run = fixture.new { commit = { min_time = 3600 }, steps = { { function(message) return message end,
      max_batch_size = 10 } } }
    run:push_numbers(25)
    run:start()
    run:turn_until(function() return run.engine:totals().produced == 25 end)
    assert.is_nil(run:committed())
    C.tide_memory_revoke(run.source, 0, false)
    run:turn_until(function(event) return event.kind == 'assigned' and #run.events > 2 end)
    assert.equal(25, run:committed())
    run:push '26'
    run:finish()
    assert.equal(26, #run:values())
  end)

  it('a revocation of lost partitions commits nothing', function()
    local run = fixture.new { commit = { min_time = 3600 }, steps = { { function(message) return message end } } }
    run:push_numbers(5)
    run:start()
    run:turn_until(function() return run.engine:totals().produced == 5 end)
    C.tide_memory_revoke(run.source, 0, true)
    run:turn_until(function(event) return event.kind == 'lost' end)
    assert.is_nil(run:committed())
    run:finish()
    assert.equal(10, #run:values()) -- read again from the start: at least once
    assert.equal(5, run:committed())
  end)

  it('a revocation drops late delivery reports of the old assignment', function()
    local run = fixture.new { steps = { { function(message) return message end, max_batch_size = 4 } } }
    C.tide_memory_hold(run.sink, true)
    run:push_numbers(4)
    run:start()
    run:turn_until(function() return C.tide_memory_count(run.sink) == 4 end)
    C.tide_memory_revoke(run.source, 0, false)
    run:turn_until(function(event) return event.kind == 'assigned' and #run.events > 2 end)
    assert.equal(4, run.engine:totals().dropped)
    C.tide_memory_hold(run.sink, false)
    assert.equal('done', run:finish().kind)
    assert.equal(4, run:committed())
    assert.equal(4, run.engine:totals().produced_from)
    assert.is_true(run:balanced())
  end)
end)
