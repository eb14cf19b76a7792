-- SPDX-License-Identifier: MIT
-- Sizes that change while messages flow: nothing is lost, doubled or reordered, and what is no longer needed goes.
local ffi = require 'ffi'
local flow = require 'spec.support.flow'
local C = require('tidemill.run.ffi').C
local seeds = require 'spec.support.seed'

pcall(ffi.cdef, 'int kill(int pid, int signal); int getpid(void);')

local MIB = 2 ^ 20
local MESSAGES, PARTITIONS = 4000, 4

local function same(m) return m end

-- Every value once, and those of a partition in their order.
local function check_all(run, count)
  local last, seen = {}, 0
  for _, result in ipairs(run:results()) do
    local number, partition = tonumber(result.value), result.partition
    assert.is_true(number > (last[partition] or 0), ('%d after %d'):format(number, last[partition] or 0))
    last[partition], seen = number, seen + 1
  end
  assert.equal(count, seen)
end

-- Pushes numbers in portions, and calls `between` after each of them.
local function push_in_portions(run, portions, between)
  run:start()
  for portion = 1, portions do
    for i = 1, MESSAGES / portions do
      local number = (portion - 1) * MESSAGES / portions + i
      run:push { value = tostring(number), partition = number % PARTITIONS }
    end
    between(portion)
    run.engine:run(0)
  end
end

local function random_sizes(processes)
  return { processes = math.random(processes), max_batch_size = math.random(300),
    max_batch_time_us = math.random(1e5), input_block_size = math.random(4096, 2 * MIB),
    output_block_size = math.random(4096, 2 * MIB) }
end

describe('sizes at run time', function()
  local fixture = flow.fixture()
  local seed

  before_each(function()
    seed = seeds.draw()
  end)

  it('the sizes of a step are read and changed, each for itself', function()
    local run = fixture.new { steps = { { same } }, pools = { 4 } }
    local before = run.engine:sizes(1)
    assert.same({ max_batch_size = 1000, processes = 4, max_batch_time_us = 1e6, input_block_size = MIB,
      output_block_size = MIB }, before)
    assert(run.engine:set_sizes(1, { processes = 2, max_batch_size = 7 }))
    before.processes, before.max_batch_size = 2, 7
    assert.same(before, run.engine:sizes(1))
    assert.equal(2, run:metric(1, 'PROCESSES').last)
    assert.equal(1, run:metric(1, 'POOL_RESIZE').count)
  end)

  it('a size that is out of its range is refused, and nothing is changed', function()
    local run = fixture.new { steps = { { same } }, pools = { 4 } }
    local before = run.engine:sizes(1)
    for name, case in pairs { processes = { 5, 'processes = 5: it is 1 to 4 here' },
      max_batch_size = { 1001, 'max_batch_size = 1001: it is 1 to 1000 here' },
      input_block_size = { 65 * MIB, 'input_block_size = 68157440: it is 1 to 67108864 here' } } do
      local set, text = run.engine:set_sizes(1, { max_batch_time_us = 5, [name] = case[1] })
      assert.is_nil(set)
      assert.equal(case[2], text)
    end
    assert.same(before, run.engine:sizes(1))
    assert.is_nil(run.engine:sizes(2))
  end)

  it('a max_batch_size that is changed holds for the next batch', function()
    local run = fixture.new { steps = { { same, eager = false, max_batch_size = 100 } } }
    run:start()
    assert(run.engine:set_sizes(1, { max_batch_size = 10 }))
    run:push_numbers(100)
    run:finish()
    assert.same({ 10, 10 }, { run:metric(1, 'BATCH_SIZE_MSG').max, run:metric(1, 'BATCH_SIZE_MSG').count })
  end)

  it('workers that are not needed any more run their close hooks and leave, which is no loss', function()
    local closed = os.tmpname()
    local folder = os.tmpname()
    os.remove(folder)
    local file = assert(io.open(folder .. '.lua', 'w'))
    file:write(([[return { process = function(m) return m end, close = function()
      local f = io.open(%q, "a") f:write("x") f:close()
    end }]]):format(closed))
    file:close()
    local run = fixture.new { pools = { 4 }, steps = { { { kind = 'file', path = folder .. '.lua' } } } }
    run:start()
    run:turn_until(function()
      for index = 0, 3 do
        if not run.engine:worker_pid(0, index) then return false end
      end
      return true
    end, 60, 'all workers')
    assert(run.engine:set_sizes(1, { processes = 1 }))
    run:turn_until(function()
      for index = 1, 3 do
        if run.engine:worker(0, index).pid then return false end
      end
      return true
    end)
    local text = assert(io.open(closed)):read '*a'
    os.remove(closed)
    os.remove(folder .. '.lua')
    assert.equal('xxx', text)
    assert.is_not_nil(run.engine:worker_pid(0, 0))
    assert.same({ 0, 0, 0 }, { run:metric(1, 'WORKER_LOST_EXIT').count, run:metric(1, 'WORKER_LOST_SIGNAL').count,
      run.engine:worker(0, 3).lost })
    assert(run.engine:set_sizes(1, { processes = 4 }))
    run:turn_until(function() return run.engine:worker_pid(0, 3) end)
  end)

  it('sizes change at random while messages flow: nothing is lost, doubled or reordered', function()
    local run = fixture.new { partitions = PARTITIONS, pools = { 4, 2 }, steps = { { same }, { same, pool = 1 } } }
    push_in_portions(run, 80, function()
      assert(run.engine:set_sizes(1, random_sizes(4)))
      assert(run.engine:set_sizes(2, random_sizes(2)))
    end)
    assert.equal('done', run:finish().kind)
    assert.is_true(run:balanced())
    check_all(run, MESSAGES)
  end)

  it('the same with workers that are killed meanwhile, and partitions that are revoked', function()
    -- However often a worker dies, its messages are none of its end.
    local run = fixture.new { partitions = PARTITIONS, pools = { 4 }, steps = { { same, crash_retries = 100 } },
      dlq = true }
    push_in_portions(run, 40, function(portion)
      assert(run.engine:set_sizes(1, random_sizes(4)))
      local pid = run.engine:worker_pid(0, math.random(0, 3))
      if pid and portion % 4 == 0 then ffi.C.kill(pid, 9) end
      if portion % 10 == 5 then C.tide_memory_revoke(run.source, portion / 5 % PARTITIONS, false) end
    end)
    assert.equal('done', run:finish().kind)
    assert.is_true(run:balanced())
    local produced = {}
    for _, value in ipairs(run:values()) do produced[tonumber(value)] = true end
    assert.equal(MESSAGES, #produced, 'seed ' .. seed)
  end)

  it('blocks that shrink give their memory back', function()
    local run = fixture.new { steps = { { same, eager = false, max_batch_size = 1000 } } }
    for i = 1, 200 do run:push { value = tostring(i) .. ('x'):rep(10000) } end
    run:start()
    run:turn_until(function() return run.engine:totals().in_flight == 200 end)
    C.tide_clock_advance(1e6)
    run:turn_until(function() return run.engine:totals().produced == 200 end)
    local before = tonumber(C.tide_engine_block_memory(run.engine.handle, 0, true))
    assert(run.engine:set_sizes(1, { input_block_size = 65536, output_block_size = 65536 }))
    local after = tonumber(C.tide_engine_block_memory(run.engine.handle, 0, true))
    assert.is_true(before > MIB and after <= 3 * (65536 + 4096), ('%d, then %d'):format(before, after))
  end)
end)
