-- SPDX-License-Identifier: MIT
-- run_task_with_multiprocessing: how batches close, block sizes, order, backpressure.
local flow = require 'spec.support.flow'
local C = require('tidemill.run.ffi').C

local function same(message) return message end

describe('run_task_with_multiprocessing', function()
  local fixture = flow.fixture()

  it('run_task_with_multiprocessing hands every message on, in the order of its partition, whatever'
    .. ' worker ran it', function()
    local run = fixture.new { pools = { 3 }, partitions = 4, steps = { { same, max_batch_size = 7 } } }
    run:push_numbers(2000, 4)
    assert.equal('done', run:finish().kind)
    local last = {}
    for _, result in ipairs(run:results()) do
      assert.is_true(result.offset == (last[result.partition] or -1) + 1)
      last[result.partition] = result.offset
    end
    assert.equal(2000, run.engine:totals().produced_from)
    assert.equal(500, run:committed(3))
  end)

  it('run_task_with_multiprocessing closes a batch at max_batch_size', function()
    local run = fixture.new { steps = { { same, max_batch_size = 10, eager = false } } }
    run:push_numbers(100)
    run:finish()
    assert.equal(10, run:metric(1, 'BATCH_CLOSE_SIZE').count)
    assert.equal(10, run:metric(1, 'BATCH_SIZE_MSG').max)
    assert.equal(10, run:metric(1, 'BATCH_SIZE_MSG').min)
  end)

  it('run_task_with_multiprocessing keeps an automatic batch to 1 MiB of results', function()
    local function most(options)
      options[1] = function(m) return { value = m.value .. (' '):rep(20000) } end
      local run = fixture.new { steps = { options } }
      run:push_numbers(3000)
      run:finish()
      assert.equal(3000, run.engine:totals().produced)
      return run:metric(1, 'BATCH_SIZE_MSG').max
    end
    assert.is_true(most { auto_batch = true } <= 2 ^ 20 / 20000)
    assert.equal(1000, most { max_batch_size = 1000, eager = false })
  end)

  it('run_task_with_multiprocessing closes a batch at max_batch_time when it is not eager', function()
    local run = fixture.new { steps = { { same, max_batch_time = 30, eager = false } } }
    run:push_numbers(3)
    run:start()
    run:turn_until(function() return run.engine:totals().read == 3 end)
    assert.equal(0, run.engine:totals().produced)
    C.tide_clock_advance(31e6)
    run:turn_until(function() return run.engine:totals().produced == 3 end)
    assert.equal(1, run:metric(1, 'BATCH_CLOSE_TIME').count)
  end)

  it('run_task_with_multiprocessing closes a batch at once when it is eager, the source idle and a'
    .. ' worker too', function()
    local run = fixture.new { steps = { { same, max_batch_time = 3600 } } }
    run:start()
    local pushed = 0
    -- The first one is a batch alone; then its messages are known to be quick, be it after a few on a busy machine.
    run:turn_until(function()
      local all_through = run.engine:totals().produced == pushed
      if all_through then
        run:push '1'
        pushed = pushed + 1
      end
      return all_through and run:metric(1, 'BATCH_CLOSE_IDLE').count >= 1
    end)
    assert.is_true(run:metric(1, 'BATCH_CLOSE_RUN_TIME').count >= 1)
    run:turn_until(function() return run.engine:totals().produced == pushed end)
  end)

  it('run_task_with_multiprocessing flushes the open batch at the end', function()
    local run = fixture.new { steps = { { same, max_batch_time = 3600, eager = false } } }
    run:push_numbers(3)
    assert.equal('done', run:finish().kind)
    assert.equal(1, run:metric(1, 'BATCH_CLOSE_FLUSH').count)
    assert.equal(3, #run:values())
  end)

  it('run_task_with_multiprocessing splits the batch on input overflow, and grows the block when it is'
    .. ' automatic', function()
    local run = fixture.new { steps = { { same, input_block_size = 4096, eager = false } } }
    run:push_numbers(500, 1, 100)
    run:finish()
    assert.is_true(run:metric(1, 'BATCH_INPUT_OVERFLOW').count > 0)
    assert.equal(run:metric(1, 'BATCH_INPUT_OVERFLOW').count, run:metric(1, 'BATCH_CLOSE_BLOCK').count)
    assert.is_true(run:metric(1, 'BATCH_INPUT_RESIZE').count > 0)
    assert.is_true(run:metric(1, 'INPUT_BLOCK_BYTES').last > 4096)
    assert.equal(500, #run:values())
  end)

  it('run_task_with_multiprocessing keeps an explicit block size, however often it overflows', function()
    local run = fixture.new { steps = { { same, input_block_size = 4096, auto = false, eager = false } } }
    run:push_numbers(500, 1, 100)
    run:finish()
    assert.is_true(run:metric(1, 'BATCH_INPUT_OVERFLOW').count > 10)
    assert.equal(0, run:metric(1, 'BATCH_INPUT_RESIZE').count)
    assert.equal(4096, run:metric(1, 'INPUT_BLOCK_BYTES').last)
    assert.is_true(run:metric(1, 'BATCH_SIZE_BYTES').max <= 4096)
  end)

  it('run_task_with_multiprocessing goes on from the next message on output overflow, without redoing any', function()
    local calls = 0
    local run = fixture.new { steps = { { function(message)
      calls = calls + 1
      return calls .. ' ' .. message.value .. (' '):rep(200)
    end, output_block_size = 4096, auto = false, eager = false } } }
    run:push_numbers(300)
    run:finish()
    assert.is_true(run:metric(1, 'BATCH_OUTPUT_OVERFLOW').count > 5)
    local values = run:values()
    assert.equal(300, #values)
    local redone = 0
    for i, value in ipairs(values) do
      local call, number = value:match '^(%d+) (%d+)'
      assert.equal(i, tonumber(number))
      redone = math.max(redone, tonumber(call) - i)
    end
    -- Only the one result that did not fit is made again, once for each overflow.
    assert.is_true(redone <= run:metric(1, 'BATCH_OUTPUT_OVERFLOW').count)
  end)

  it('run_task_with_multiprocessing grows an automatic output block after an overflow', function()
    local run = fixture.new { steps = { { function(message) return message.value .. (' '):rep(1000) end,
      output_block_size = 4096, max_batch_size = 50 } } }
    run:push_numbers(2000)
    run:finish()
    assert.is_true(run:metric(1, 'BATCH_OUTPUT_RESIZE').count >= 3)
    assert.is_true(run:metric(1, 'OUTPUT_BLOCK_BYTES').last >= 50 * 1000)
    assert.equal(2000, #run:values())
  end)

  it('run_task_with_multiprocessing takes a message larger than the block alone, up to the maximum', function()
    local run = fixture.new { steps = { { same, input_block_size = 4096, output_block_size = 4096, auto = false,
      max_input_block_size = 1024 * 1024, max_output_block_size = 1024 * 1024 } } }
    local large = ('x'):rep(500000)
    for _, value in ipairs { 'a', large, 'b' } do run:push(value) end
    assert.equal('done', run:finish().kind)
    assert.same({ 'a', large, 'b' }, run:values())
  end)

  it('run_task_with_multiprocessing takes a result larger than the block alone, up to the maximum', function()
    local run = fixture.new { steps = { { function(message) return message.value:rep(300000) end,
      output_block_size = 4096, max_output_block_size = 1024 * 1024, auto = false } } }
    for _, value in ipairs { 'a', 'b', 'c' } do run:push(value) end
    assert.equal('done', run:finish().kind)
    assert.same({ ('a'):rep(300000), ('b'):rep(300000), ('c'):rep(300000) }, run:values())
  end)

  for _, case in ipairs {
    { 'message', same, ('x'):rep(70000), 'max_input_block_size' },
    { 'result', function(m) return m.value == 'big' and ('x'):rep(70000) or m end, 'big', 'max_output_block_size' },
  } do
    it('run_task_with_multiprocessing rejects a ' .. case[1] .. ' above the maximum and goes on', function()
      local run = fixture.new { dlq = true, steps = { { case[2], input_block_size = 65536, max_input_block_size = 65536,
        output_block_size = 65536, max_output_block_size = 65536 } } }
      for _, value in ipairs { 'a', case[3], 'b' } do run:push(value) end
      assert.equal('done', run:finish().kind)
      assert.same({ 'a', 'b' }, run:values())
      local line = fixture.letters()
      assert.matches('"reason":"too_large"', line)
      assert.matches(case[4], line)
      assert.matches('"original_offset":1', line)
      assert.equal(1, run.engine:totals().dead_lettered)
      assert.equal(3, run:committed())
    end)
  end

  it('run_task_with_multiprocessing stops intake while the next step is blocked, counts it, and loses'
    .. ' and redoes nothing', function()
    local run = fixture.new { max_messages = 100, steps = { { same, max_batch_size = 10 } } }
    C.tide_memory_block(run.sink, true)
    run:push_numbers(5000)
    run:start()
    run:turn_until(function() return run:metric(1, 'BATCH_BACKPRESSURE').count > 3 end)
    local read = run.engine:totals().read
    assert.is_true(read < 5000)
    assert.equal(0, run.engine:totals().produced)
    C.tide_memory_block(run.sink, false)
    assert.equal('done', run:finish().kind)
    assert.equal(5000, #run:values())
    assert.equal('1', run:values()[1])
    assert.equal('5000', run:values()[5000])
  end)

  it('run_task_with_multiprocessing pauses the source after 5 s of backpressure and resumes it', function()
    local run = fixture.new { max_messages = 100, steps = { { same, max_batch_size = 10 } } }
    C.tide_memory_block(run.sink, true)
    run:push_numbers(500)
    run:start()
    run:turn_until(function() return run:metric(1, 'BATCH_BACKPRESSURE').count > 0 end)
    run:turn_until(function()
      C.tide_clock_advance(1e6)
      return run:metric(0, 'PAUSE').count == 1
    end)
    C.tide_memory_block(run.sink, false)
    assert.equal('done', run:finish().kind)
    assert.equal(1, run:metric(0, 'RESUME').count)
    assert.equal(500, #run:values())
  end)

  it('run_task_with_multiprocessing finishes two steps on one pool once a blocked sink unblocks', function()
    local run = fixture.new { pools = { 2 }, max_messages = 50, steps = {
      { function(m) return m.value .. 'a' end, max_batch_size = 5 },
      { function(m) return m.value .. 'b' end, max_batch_size = 3 },
    } }
    C.tide_memory_block(run.sink, true)
    run:push_numbers(1000)
    run:start()
    run:turn_until(function()
      return run:metric(1, 'BATCH_BACKPRESSURE').count > 0 and run:metric(2, 'BATCH_BACKPRESSURE').count > 0
    end)
    C.tide_memory_block(run.sink, false)
    assert.equal('done', run:finish().kind)
    local values = run:values()
    assert.equal(1000, #values)
    for i = 1, 1000 do assert.equal(i .. 'ab', values[i]) end
    assert.equal(2, run:metric(1, 'PROCESSES').last)
    assert.equal(2, run:metric(2, 'PROCESSES').last)
  end)

  it('run_task_with_multiprocessing shows in batches_in_progress how many processes are in use', function()
    local run = fixture.new { pools = { 3 }, steps = { { same, max_batch_size = 1 } } }
    run:start()
    run:turn_until(function()
      return run.engine:worker_pid(0, 0) and run.engine:worker_pid(0, 1) and run.engine:worker_pid(0, 2)
    end, 60, 'all workers')
    run:push_numbers(300)
    run:finish()
    assert.equal(3, run:metric(1, 'BATCHES_IN_PROGRESS').max)
    assert.equal(0, run:metric(1, 'BATCHES_IN_PROGRESS').min)
    assert.equal(1, run:metric(1, 'POOL_CREATE').count)
  end)

  it('run_task_with_multiprocessing gives back memory when a quarter of the blocks would have done for'
    .. ' a minute', function()
    local run = fixture.new { steps = { { same, max_batch_size = 100000, eager = false, max_batch_time = 3600 } } }
    local function memory() return tonumber(C.tide_engine_block_memory(run.engine.handle, 0, true)) end
    assert.equal(0, memory())
    run:push_numbers(30000, 1, 200)
    run:start()
    run:turn_until(function() return run.engine:totals().read == 30000 end)
    local grown, size = memory(), run:metric(1, 'INPUT_BLOCK_BYTES').last
    assert.is_true(size >= 2 * 1024 * 1024)
    C.tide_clock_advance(3601e6)
    run:turn_until(function() return run.engine:totals().produced == 30000 end)
    assert.is_true(grown > 2 * 1024 * 1024)
    local pushed = 30000
    for _ = 1, 12 do
      C.tide_clock_advance(61e6)
      run:push(tostring(pushed))
      pushed = pushed + 1
      run:turn_until(function() return run.engine:totals().read == pushed end)
      C.tide_clock_advance(3601e6)
      run:turn_until(function() return run.engine:totals().produced == pushed end)
    end
    assert.equal(65536, run:metric(1, 'INPUT_BLOCK_BYTES').last)
    assert.is_true(memory() < grown / 4, memory() .. ' of ' .. grown)
  end)
end)
