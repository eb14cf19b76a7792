-- SPDX-License-Identifier: MIT
-- Automatic sizes on real engines: processes that grow while workers sleep, memory_limit while the traffic changes.
local ffi = require 'ffi'
local testing = require 'tidemill.testing'
local tide = require 'tidemill'
local automatic = require 'tidemill.tuning.automatic'
local files = require 'spec.support.pipeline_file'
local seeds = require 'spec.support.seed'
local wait = require 'spec.support.wait'
local C = testing.C

pcall(ffi.cdef, 'int usleep(unsigned microseconds);')

local MIB = 2 ^ 20

local function block_memory(test)
  local handle = test.engine.handle
  return tonumber(C.tide_engine_block_memory(handle, 0, true) + C.tide_engine_block_memory(handle, 0, false))
end

local function push(test, value, i)
  test:push { value = value, timestamp = i, partition = i % 4, headers = {} }
end

describe('automatic sizes', function()
  after_each(testing.close)

  it('processes that sleep become more, up to the largest number, and nothing is lost', function()
    local test = testing.steps { tide.run_task_with_multiprocessing {
      function(m)
        ffi.C.usleep(200000) -- far longer than it waits for a processor of a busy machine, which counts as demand
        return m
      end, processes = { min = 1, max = 5 } } }
    local begin = test.engine:sizes(1).processes
    if begin >= 5 then return pending 'a machine with so many processors begins with the largest number' end
    local part, pushed = automatic.new { engine = test.engine, plan = test.plan }, 0
    wait.until_true(function()
      for _ = pushed - test:totals().produced, 20 do
        pushed = pushed + 1
        push(test, tostring(pushed), pushed)
      end
      if test.engine:run(0.1).kind == 'second' then part:second() end
      return test.engine:sizes(1).processes == 5
    end, 60)
    assert.is_true(test.engine:counter(1, 'TIDE_M_POOL_RESIZE').count >= 1)
    test:finish()
    assert.equal(pushed, test:totals().produced)
  end)

  it('goes on with the processes that it has, and asks for no more, when others cannot start', function()
    local full = os.tmpname()
    os.remove(full)
    finally(function() os.remove(full) end)
    local path = files.write(([[return {
      start = function() if io.open %q then error "too many connections" end end,
      process = function(m) return m end }]]):format(full))
    local test = testing.steps({ tide.run_task_with_multiprocessing { path, processes = { min = 1, max = 5 } } },
      { settings = { files = { read = '/tmp' } } })
    local begin = test.engine:sizes(1).processes
    if begin >= 5 then return pending 'a machine with so many processors begins with the largest number' end
    local part = automatic.new { engine = test.engine, plan = test.plan }
    part:second()
    test:feed { value = 'x', partition = 0 }
    wait.until_true(function()
      test.engine:run(0.01)
      for index = 0, begin - 1 do
        if not test.engine:worker_pid(0, index) then return false end
      end
      return true
    end, 60)
    assert(io.open(full, 'w')):close()
    assert(test.engine:set_sizes(1, { processes = 5 }))
    part:second()
    wait.until_true(function()
      assert.not_equal('failed', test.engine:run(0.05).kind)
      return test.engine:sizes(1).processes == begin
    end, 60)
    part:second()
    assert.equal(begin, part.pools[1].controller.max)
    test:feed { value = 'y', partition = 0 }
    assert.equal(2, test:totals().produced)
  end)

  it('memory_limit holds while the size of messages and of results changes; what fits no block is rejected', function()
    local path = files.write [[
local tide = require "tidemill"
return tide.pipeline "p" { tide.file_source { path = "/dev/null" },
  tide.run_task_with_multiprocessing { function(m)
    if #m.value % 7 == 0 then return tide.many { m, m, { value = m.value .. m.value } } end
    return { value = m.value }
  end, processes = 2 },
  memory_limit = "6MiB" }
]]
    local test, most, seed = testing.pipeline(path), 0, seeds.draw()
    local number = 0
    for _, size in ipairs { 10, 1000, 100000, 100, 300000, 10, 250000 } do
      for _ = 1, size < 10000 and 2000 or 40 do
        number = number + 1
        push(test, ('x'):rep(math.random(size)), number)
      end
      wait.until_true(function()
        test.engine:run(0.002)
        most = math.max(most, block_memory(test))
        return test:totals().in_flight == 0 and test:totals().read == number
      end, 60)
    end
    assert.is_true(most > MIB and most <= 6 * MIB, ('%d bytes, seed %d'):format(most, seed))
    assert.same({}, test:rejects())
    test:feed { value = ('x'):rep(MIB), partition = 0 }
    assert.equal('too_large', test:rejects()[1].reason)
    assert.is_true(block_memory(test) <= 6 * MIB)
  end)
end)
