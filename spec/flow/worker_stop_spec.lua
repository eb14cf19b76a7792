-- SPDX-License-Identifier: MIT
-- Workers that are stopped, as by a debugger or a machine that sleeps: who is blamed for that.
local ffi = require 'ffi'
local C = require('tidemill.run.ffi').C
local flow = require 'spec.support.flow'
local gate = require 'spec.support.gate'

pcall(ffi.cdef, 'int kill(int pid, int signal);')
local SIGCONT, SIGSTOP = 18, 19

describe('a worker that is stopped', function()
  local fixture = flow.fixture()

  after_each(gate.remove_all)

  it('a worker is replaced when it is stopped between two blocks, and nobody is blamed', function()
    local run = fixture.new { message_timeout = 60, steps = { { function(message) return message end } } }
    run:push '1'
    run:start()
    run:turn_until(function() return run.engine:totals().produced == 1 and run.engine:worker_pid(0, 0) end)
    ffi.C.kill(run.engine:worker_pid(0, 0), SIGSTOP)
    run:push '2'
    run:until_killed()
    assert.equal('done', run:finish().kind)
    assert.same({ '1', '2' }, run:values())
    assert.equal(1, run:metric(1, 'WORKER_LOST_SIGNAL').count)
  end)

  -- The engine is this process: it makes no turn meanwhile, and finds an hour gone by its clock.
  it('a worker is not blamed when all processes were stopped for longer than message_timeout', function()
    local held = gate.new()
    local run = fixture.new { message_timeout = 60, dlq = '/dev/null', steps = { { function(message)
      io.open(held.path .. '.reached', 'w'):close()
      while not io.open(held.path) do end
      return message
    end } } }
    run:push '1'
    run:start()
    run:turn_until(function() return held:is_reached() and run.engine:worker_pid(0, 0) end)
    local pid = run.engine:worker_pid(0, 0)
    ffi.C.kill(pid, SIGSTOP)
    C.tide_clock_advance(3600e6)
    run.engine:run(0)
    ffi.C.kill(pid, SIGCONT)
    held:open()
    assert.equal('done', run:finish().kind)
    assert.same({ '1' }, run:values())
    assert.equal(0, run:metric(1, 'WORKER_LOST_SIGNAL').count)
  end)
end)
