-- SPDX-License-Identifier: MIT
-- order = "key" and "none" (engine/chain/task.h, "A lane"): what keeps its order, and what does not wait for it.
local cjson = require 'cjson'
local ffi = require 'ffi'
local C = require('tidemill.run.ffi').C
local flow = require 'spec.support.flow'
local tide = require 'tidemill'

pcall(ffi.cdef, 'void *mmap(void *at, size_t size, int protection, int flags, int fd, long offset);')
pcall(ffi.cdef, 'int poll(void *, unsigned long, int); int getpid(void); int kill(int pid, int signal);')
local SIGKILL = 9
-- What workers and the spec share: messages whose value is "wait" end while OPEN is 1; "down" is tried again until
-- then.
local shared = ffi.cast('volatile int32_t *', ffi.C.mmap(nil, 4096, 3, 0x21, -1, 0))
local OPEN, RUNS = 0, 1

local function pass(m)
  if m.value == 'wait' then
    while shared[OPEN] == 0 do ffi.C.poll(nil, 0, 1) end
  elseif m.value == 'down' and shared[OPEN] == 0 then
    return tide.retry 'down'
  elseif m.value == 'die' then
    shared[RUNS] = shared[RUNS] + 1
    ffi.C.kill(ffi.C.getpid(), SIGKILL)
  end
  return m
end

describe('the order of results', function()
  local fixture = flow.fixture()
  before_each(function() ffi.fill(ffi.cast('void *', shared), 4096) end)

  local function push_keys(run, count, keys, value)
    for i = 1, count do run:push { key = 'k' .. i % keys, value = value or tostring(i) } end
  end

  local function produced(run, count)
    run:turn_until(function(event)
      assert(event.kind ~= 'failed', event.text)
      return run.engine:totals().produced >= count
    end, 60, function() return ('%d results; %d came'):format(count, run.engine:totals().produced) end)
    assert.equal(count, run.engine:totals().produced)
  end

  -- The numbers of each key rise; returns how many results there are.
  local function assert_order(run)
    local last, results = {}, run:results()
    for _, result in ipairs(results) do
      local number = tonumber(result.value)
      assert.is_true(number > (last[result.key] or 0), result.key .. ': ' .. number)
      last[result.key] = number
    end
    return #results
  end

  local function kill_one(run, index)
    local pid = run.engine:worker_pid(0, index)
    if pid then ffi.C.kill(pid, SIGKILL) end
  end

  it('order = "key" keeps the messages of a key in order, whatever workers take for each, or die of', function()
    local run = fixture.new { pools = { 4 }, partitions = 2, dlq = true, steps = { { function(m)
      if tonumber(m.value) % 97 == 0 then ffi.C.poll(nil, 0, 2) end
      return m
    end, order = 'key', max_batch_size = 20, crash_retries = 100 } } }
    for i = 1, 6000 do run:push { key = 'k' .. i % 50, value = tostring(i), partition = i % 50 % 2 } end
    run:start()
    for i = 1, 12 do
      run:turn_until(function() return run.engine:totals().produced >= i * 400 end)
      kill_one(run, i % 4)
    end
    assert.equal('done', run:finish().kind)
    assert.equal(6000, assert_order(run))
    assert.same({ 3000, 3000 }, { run:committed(0), run:committed(1) })
    assert.is_true(run:balanced())
  end)

  it('order = "key" runs the messages of a key in one worker, and those of many keys in all', function()
    local run = fixture.new { pools = { 4 }, steps = { { function() return tostring(ffi.C.getpid()) end,
      order = 'key', max_batch_size = 10 } } }
    push_keys(run, 4000, 100)
    assert.equal('done', run:finish().kind)
    local of_key, workers, count = {}, {}, 0
    for _, result in ipairs(run:results()) do
      assert.equal(of_key[result.key] or result.value, result.value)
      of_key[result.key] = result.value
      count = count + (workers[result.value] and 0 or 1)
      workers[result.value] = true
    end
    assert.equal(4, count)
  end)

  for order, others in pairs { key = 900, none = 900 } do
    it(('order = "%s" lets results leave while a message before them is run, and commits none of them'):format(order),
      function()
        -- A batch that is prefetched for a worker waits for the one before it.
        local run = fixture.new { pools = { 4 }, steps = { { pass, order = order, max_batch_size = 5,
          prefetch_batches = order == 'none' and 0 or 1 } } }
        run:push { key = 'slow', value = 'wait' }
        -- Keys of three lanes of four: the others would wait, as they should.
        local lanes = require('spec.support.headers').declare 'chain/lane_key.h'
        local lane, key = lanes.tide_lane_of_key('slow', 4, 4), 0
        for i = 1, others do
          repeat key = key + 1 until lanes.tide_lane_of_key('k' .. key, #('k' .. key), 4) ~= lane
          run:push { key = 'k' .. key, value = tostring(i) }
        end
        run:start()
        produced(run, others)
        assert.equal(0, run:committed(0) or 0)
        shared[OPEN] = 1
        assert.equal('done', run:finish().kind)
        assert.equal(others + 1, #run:results())
        assert.equal(others + 1, run:committed(0))
      end)
  end

  it('order = "partition" lets no result leave before one of an earlier message', function()
    local run = fixture.new { pools = { 4 }, steps = { { pass, max_batch_size = 5 } } }
    run:push { key = 'slow', value = 'wait' }
    push_keys(run, 30, 10)
    run:start()
    run:turn_until(function()
      return run:metric(1, 'BLOCKED_OLDEST').count + run:metric(1, 'BLOCKED_WORKERS').count > 0
    end)
    assert.equal(0, run.engine:totals().produced)
    shared[OPEN] = 1
    assert.equal('done', run:finish().kind)
    assert.equal('wait', run:values()[1])
  end)

  it('order = "key" goes on with other keys when one has more messages than its lane takes, up to a bound', function()
    local run = fixture.new { pools = { 2 }, steps = { { pass, order = 'key', by = 'header', by_name = 'h',
      eager = false, max_batch_size = 10, max_batch_time = 0.001, input_block_size = 65536,
      max_input_block_size = 65536 } } }
    local lanes = require('spec.support.headers').declare 'chain/lane_key.h'
    local hot, cold = 'hot', 'cold'
    while lanes.tide_lane_of_key(hot, #hot, 2) == lanes.tide_lane_of_key(cold, #cold, 2) do cold = cold .. '.' end
    local function push(key, value) run:push { headers = { { 'h', key } }, value = value } end
    push(hot, 'wait')
    for i = 1, 300 do push(hot, tostring(i)) end
    for i = 1, 50 do push(cold, tostring(i)) end
    for i = 1, 5000 do push(hot, tostring(i)) end
    push(cold, 'last')
    run:start()
    produced(run, 50)
    run:turn_until(function() return run:metric(1, 'BLOCKED_OLDEST').count > 0 end)
    local read = run.engine:totals().read
    assert.is_true(read > 351 and read < 1500, tostring(read)) -- 64 KiB of small messages
    shared[OPEN] = 1
    assert.equal('done', run:finish().kind)
    assert.equal(5352, #run:results())
    assert.equal(5352, run:committed(0))
  end)

  it('order = "none" reads on behind a message that takes long until a million wait for it to be committed', function()
    local run = fixture.new { pools = { 2 }, steps = { { function(m)
      while m.offset == 0 and shared[OPEN] == 0 do ffi.C.poll(nil, 0, 1) end
      return m
    end, order = 'none' } } }
    C.tide_memory_discard(run.sink)
    for _ = 1, 1000 do run:push 'x' end
    C.tide_memory_repeat(run.source, 1300000)
    run:start()
    run:turn_until(function() return run.engine:totals().read >= 2 ^ 20 end)
    for _ = 1, 100 do run.engine:run(0.001) end
    local kept = run.engine:totals().read
    assert.is_true(kept >= 2 ^ 20 and kept < 2 ^ 20 + 4096, tostring(kept))
    shared[OPEN] = 1
    assert.equal('done', run:finish().kind)
    assert.is_true(run:balanced())
  end)

  for by, make in pairs {
    header = function(key, value) return { headers = { { 'user', key } }, value = tostring(value) } end,
    json = function(key, value) return { value = ('{"user":{"id":"%s"},"n":%s}'):format(key, value) } end,
  } do
    it('order = "key" by a ' .. by .. ' keeps the order of that', function()
      local run = fixture.new { pools = { 3 }, steps = { { function(m)
        if #m.value % 5 == 0 then ffi.C.poll(nil, 0, 1) end
        if by == 'json' then return { value = tostring(m.json.n), key = m.json.user.id } end
        return { value = m.value, key = m:header 'user' }
      end, order = 'key', by = by, by_name = by == 'json' and 'user.id' or 'user', max_batch_size = 7 } } }
      for i = 1, 1500 do run:push(make('u' .. i % 20, i)) end
      assert.equal('done', run:finish().kind)
      assert.equal(1500, assert_order(run))
    end)
  end

  it('order = "key" by partition keeps the order of partitions, and none waits for another', function()
    local run = fixture.new { pools = { 2 }, partitions = 2, steps = { { pass, order = 'key', by = 'partition' } } }
    local lanes = require('spec.support.headers').declare('chain/lane_key.h', 'shm/message.h')
    local reader, bytes = lanes.tide_lane_key_new(C.TIDE_BY_PARTITION, nil), ffi.new 'const char *[1]'
    local length, seen = ffi.new 'uint32_t[1]', {}
    for partition = 0, 1 do
      lanes.tide_lane_key_read(reader, ffi.new('struct tide_message', { partition = partition }), bytes, length)
      seen[lanes.tide_lane_of_key(bytes[0], length[0], 2)] = true
    end
    lanes.tide_lane_key_free(reader)
    run:push { value = 'wait', partition = 0 }
    for i = 1, 100 do run:push { value = tostring(i), partition = 1 } end
    run:start()
    if seen[0] and seen[1] then produced(run, 100) end
    shared[OPEN] = 1
    assert.equal('done', run:finish().kind)
    assert.same({ 1, 100 }, { run:committed(0), run:committed(1) })
  end)

  it('messages without a key go to all lanes, and wait for none that is full', function()
    local run = fixture.new { pools = { 2 }, steps = { { pass, order = 'key', max_batch_size = 1 } } }
    run:push { key = 'slow', value = 'wait' }
    for i = 1, 100 do run:push { value = tostring(i) } end
    run:start()
    -- Those that went to the lane before it was full wait there.
    run:turn_until(function() return run.engine:totals().produced >= 100 - 3 end)
    shared[OPEN] = 1
    assert.equal('done', run:finish().kind)
    assert.equal(101, #run:results())
  end)

  it('tide.retry holds back its lane where the order is by key, and nothing where there is none', function()
    for order, most in pairs { key = 299, none = 300 } do
      shared[OPEN] = 0
      local run = fixture.new { pools = { 4 }, message_timeout = 1e6,
        steps = { { pass, order = order, max_batch_size = 5 } } }
      run:push { key = 'k0', value = 'down' }
      push_keys(run, 300, 30)
      run:start()
      run:turn_until(function() return run:metric(1, 'MESSAGE_RETRY').count > 0 end)
      run:turn_until(function() return run.engine:totals().produced >= (order == 'none' and 300 or 100) end)
      for _ = 1, 20 do run.engine:run(0.001) end
      assert.is_true(run.engine:totals().produced <= most)
      for _, result in ipairs(run:results()) do assert.is_true(order == 'none' or result.key ~= 'k0') end
      assert.equal(0, run:committed(0) or 0)
      shared[OPEN] = 1
      C.tide_memory_end(run.source)
      run:turn_until(function(event)
        C.tide_clock_advance(1e5)
        return event.kind == 'done'
      end)
      assert.equal(301, #run:results())
      assert.equal(301, run:committed(0))
      local of_key = {}
      for _, result in ipairs(run:results()) do
        if result.key == 'k0' then of_key[#of_key + 1] = result.value end
      end
      assert.is_true(order == 'none' or of_key[1] == 'down', of_key[1])
      run:free()
      fixture.run = nil
    end
  end)

  for _, order in ipairs { 'key', 'none' } do
    it(('order = "%s" attributes a crash to its message, and loses no other'):format(order), function()
      local run = fixture.new { pools = { 3 }, dlq = true, steps = { { pass, order = order, max_batch_size = 8 } } }
      push_keys(run, 200, 10)
      run:push { key = 'k1', value = 'die' }
      push_keys(run, 200, 10)
      assert.equal('done', run:finish().kind)
      assert.equal(400, #run:results())
      local letter = cjson.decode(fixture.letters())
      assert.same({ 'crash', 200, 2 }, { letter.reason, letter.original_offset, shared[RUNS] })
      assert.equal(401, run:committed(0))
    end)

    it(('order = "%s" flushes what is open at the end'):format(order), function()
      local run = fixture.new { pools = { 3 },
        steps = { { pass, order = order, eager = false, max_batch_time = 3600 } } }
      push_keys(run, 50, 10)
      assert.equal('done', run:finish().kind)
      assert.equal(50, #run:results())
      assert.equal(order == 'key' and 3 or 1, run:metric(1, 'BATCH_CLOSE_FLUSH').count)
    end)

    it(('order = "%s" in one of two steps holds back no reading, and all comes out'):format(order), function()
      local run = fixture.new { pools = { 2, 2 }, steps = { { pass, order = order, max_batch_size = 5 },
        { function(m) return m.value end, pool = 1, max_batch_size = 5 } } }
      run:push { key = 'slow', value = 'wait' }
      for i = 1, 400 do run:push { value = tostring(i) } end
      run:start()
      run:turn_until(function() return run.engine:totals().produced >= 300 end)
      shared[OPEN] = 1
      assert.equal('done', run:finish().kind)
      assert.equal(401, #run:results())
    end)
  end

  it('order = "key" closes the batch of each lane at max_batch_time', function()
    local run = fixture.new { pools = { 3 }, steps = { { pass, order = 'key', eager = false, max_batch_time = 30 } } }
    push_keys(run, 30, 10)
    run:start()
    run:turn_until(function() return run.engine:totals().read == 30 end)
    assert.equal(0, run.engine:totals().produced)
    C.tide_clock_advance(31e6)
    produced(run, 30)
    assert.equal(3, run:metric(1, 'BATCH_CLOSE_TIME').count)
  end)

  it('order = "key" takes few messages at once where the source has no more and the lane is idle', function()
    local run = fixture.new { pools = { 2 }, steps = { { pass, order = 'key', max_batch_time = 3600 } } }
    run:start()
    for i = 1, 20 do
      run:push { key = 'k' .. i, value = tostring(i) }
      produced(run, i)
    end
  end)

  it('order = "key" keeps the order while the number of processes changes', function()
    local run = fixture.new { pools = { 4 }, steps = { { function(m)
      if tonumber(m.value) % 10 == 0 then ffi.C.poll(nil, 0, 1) end
      return m
    end, order = 'key', max_batch_size = 10 } } }
    push_keys(run, 3000, 40)
    run:start()
    for i = 1, 10 do
      run:turn_until(function() return run.engine:totals().produced >= i * 250 end)
      local sizes = ffi.new 'struct tide_sizes'
      assert.is_true(C.tide_engine_get_sizes(run.engine.handle, 1, sizes))
      sizes.processes = 1 + i % 4
      assert.equal(0, C.tide_engine_set_sizes(run.engine.handle, 1, sizes))
    end
    assert.equal('done', run:finish().kind)
    assert.equal(3000, assert_order(run))
  end)

  it('the pipeline file says what keeps its order', function()
    local test = fixture.steps(tide.run_task_with_multiprocessing { function(m) return m end, processes = 2,
      order = 'key', by = 'json:user.id', max_batch_size = 3 })
    for i = 1, 20 do test:push { value = ('{"user":{"id":%d}}'):format(i % 3) } end
    test:finish()
    assert.equal(20, #test:values())
    assert.equal(20, test:committed(0))
  end)
end)
