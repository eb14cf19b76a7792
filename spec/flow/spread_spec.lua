-- SPDX-License-Identifier: MIT
-- Batches of slow messages are small, so that all workers have some; those of quick ones are large (eager).
local ffi = require 'ffi'
local flow = require 'spec.support.flow'
local headers = require 'spec.support.headers'
local C = headers.declare 'chain/task.h'

pcall(ffi.cdef, [[
int pipe2(int ends[2], int flags);
int close(int fd);
int getpid(void);
ssize_t read(int fd, void *bytes, size_t size);
ssize_t write(int fd, const void *bytes, size_t size);
]])

local O_NONBLOCK = 2048

local function pipe(flags)
  local ends = ffi.new 'int[2]'
  assert.equal(0, ffi.C.pipe2(ends, flags or 0))
  return { from = ends[0], to = ends[1] }
end

describe('eager batches', function()
  local fixture = flow.fixture()
  local pipes

  after_each(function()
    for _, one in ipairs(pipes or {}) do
      ffi.C.close(one.from)
      ffi.C.close(one.to)
    end
    pipes = nil
  end)

  it('eager batches of what was never measured are of one message: all workers run at once', function()
    local WORKERS = 8
    local entered, go = pipe(O_NONBLOCK), pipe()
    pipes = { entered, go }
    local run = fixture.new { pools = { WORKERS }, steps = { { function(m)
      local pid, byte = ffi.new('int32_t[1]', ffi.C.getpid()), ffi.new 'char[1]'
      ffi.C.write(entered.to, pid, 4)
      assert(ffi.C.read(go.from, byte, 1) == 1) -- the spec lets it go on
      return m
    end } } }
    run:push_numbers(WORKERS)
    run:start()
    local pids, count, pid = {}, 0, ffi.new 'int32_t[1]'
    run:turn_until(function()
      while ffi.C.read(entered.from, pid, 4) == 4 do
        count = count + (pids[pid[0]] and 0 or 1)
        pids[pid[0]] = true
      end
      return count == WORKERS
    end, function() return ('%d workers to run at once, not %d'):format(WORKERS, count) end)
    ffi.C.write(go.to, ('x'):rep(WORKERS), WORKERS)
    assert.equal('done', run:finish().kind)
    assert.equal(WORKERS, run.engine:totals().produced)
  end)

  it('eager batches of quick messages grow to max_batch_size', function()
    local run = fixture.new { steps = { { function(m) return m end } } }
    run:push_numbers(100000)
    assert.equal('done', run:finish().kind)
    assert.equal(1000, run:metric(1, 'BATCH_SIZE_MSG').max)
  end)

  it('batches that are not eager are filled', function()
    local run = fixture.new { steps = { { function(m) return m end, max_batch_size = 8, eager = false } } }
    run:push_numbers(80)
    assert.equal('done', run:finish().kind)
    assert.same({ 8, 8 }, { run:metric(1, 'BATCH_SIZE_MSG').min, run:metric(1, 'BATCH_SIZE_MSG').max })
  end)
end)

describe('tide_task_measure', function()
  local MS = 1e6
  local task

  local function most_after(nanoseconds, messages, whole_batch, bytes)
    local work = ffi.new('struct tide_work', { busy_ns = nanoseconds, whole_batch = whole_batch or false })
    C.tide_task_measure(task, work, messages, bytes or 0)
    return task.size.max_messages
  end

  before_each(function()
    task = ffi.new 'struct tide_task'
    task.plan.eager, task.plan.max_batch_size = true, 1000
    C.tide_task_sizes(task, 0)
  end)

  it('tide_task_measure begins with one message', function()
    assert.equal(1, task.size.max_messages)
  end)

  it('tide_task_measure allows what takes 50 ms, one message at least', function()
    assert.equal(1, most_after(50 * MS, 1))
    assert.equal(1, most_after(5000 * MS, 1))
  end)

  it('tide_task_measure allows max_batch_size where messages are quick', function()
    assert.equal(1000, most_after(0.001 * MS, 1))
  end)

  it('tide_task_measure follows the newer batches', function()
    assert.equal(1, most_after(50 * MS, 1))
    local most
    for _ = 1, 60 do most = most_after(5 * MS, 1) end
    assert.equal(9, most)
    for _ = 1, 60 do most = most_after(500 * MS, 10) end
    assert.equal(1, most)
  end)

  it('tide_task_measure allows max_batch_size where a function takes the whole batch, whose time says'
    .. ' nothing of one message', function()
    assert.equal(1000, most_after(500 * MS, 1, true))
  end)

  it('tide_task_measure allows 1 MiB of results where batches are automatic', function()
    assert.equal(1000, most_after(1, 1, false, 2 ^ 20 / 10))
    task.plan.auto_batch = true
    assert.equal(10, most_after(1, 1, false, 2 ^ 20 / 10))
    assert.equal(1, most_after(1, 1, true, 2 ^ 24))
  end)

  it('tide_task_measure cannot be made to fail by what a worker reports', function()
    assert.equal(1000, most_after(0, 1))
    assert.equal(1, most_after(2 ^ 64 - 2 ^ 12, 1))
  end)

  it('tide_task_measure leaves max_batch_size alone where the step is not eager', function()
    task.plan.eager = false
    C.tide_task_sizes(task, 0)
    assert.equal(1000, task.size.max_messages)
    assert.equal(1000, most_after(5000 * MS, 1))
  end)

  it('tide_task_pace keeps a batch to a quarter of the latency that the step may take, until the source has had'
    .. ' messages for longer than that', function()
    task.plan.latency_us = 100000
    C.tide_task_sizes(task, 1000)
    assert.equal(25 * MS, task.size.run_limit_ns)
    assert.equal(24, most_after(1 * MS, 1))
    C.tide_task_pace(task, 101000)
    assert.equal(25 * MS, task.size.run_limit_ns)
    C.tide_task_pace(task, 101001)
    assert.equal(50 * MS, task.size.run_limit_ns)
  end)

  it('tide_task_is_large keeps an automatic batch to 1 MiB, and no other', function()
    assert.is_false(C.tide_task_is_large(task, 2 ^ 30))
    task.plan.auto_batch = true
    assert.is_false(C.tide_task_is_large(task, 2 ^ 20))
    assert.is_true(C.tide_task_is_large(task, 2 ^ 20 + 1))
  end)
end)
