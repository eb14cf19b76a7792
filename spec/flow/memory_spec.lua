-- SPDX-License-Identifier: MIT
-- Memory is bounded: what an engine and its workers take of their own does not grow with what they have moved.
local process = require 'spec.support.process'
local wait = require 'spec.support.wait'

local program = require("spec.support.program").path
local sanitized = require('spec.support.program').build == 'build/asan' -- its shadow memory is not ours

-- Private memory in KiB: a forked worker's shared pages are the zygote's.
local function own_kib(pid)
  local file = io.open(('/proc/%d/smaps_rollup'):format(pid))
  local text = file and file:read '*a' or ''
  if file then file:close() end
  return (tonumber(text:match 'Private_Clean:%s+(%d+)') or 0) + (tonumber(text:match 'Private_Dirty:%s+(%d+)') or 0)
end

describe('memory', function()
  local folder

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute('mkdir ' .. folder))
  end)

  after_each(function()
    process.stop_all()
    os.execute('rm -r ' .. folder)
  end)

  it('memory of engine and worker is small and stays flat over millions of messages', function()
    if sanitized then return end
    local pipe = folder .. '/in'
    assert(os.execute('mkfifo ' .. pipe))
    local run = process.start { program, 'run', 'scripts/clean_events.lua', '--input', pipe, '--output', '/dev/null',
      '--set', 'processes=1' }
    local line = ('{"level":"info","value":21,"text":"%s"}\n'):format(('t'):rep(220))
    local chunk = line:rep(2000)
    local feed = assert(io.open(pipe, 'w'))
    local engine, worker, early = run:pid(), nil, nil
    for i = 1, 400 do
      feed:write(chunk)
      if i == 200 then -- every block has been filled by then, however slowly batches grew
        worker = process.workers(engine)[1]
        early = { own_kib(engine), own_kib(worker) }
      end
    end
    local late = { own_kib(engine), own_kib(worker) }
    feed:close()
    assert.equal(0, run:wait(60))
    assert.is_true(late[1] <= 64 * 1024, 'engine: ' .. late[1] .. ' KiB')
    assert.is_true(late[2] <= 12 * 1024, 'worker: ' .. late[2] .. ' KiB')
    assert.is_true(late[1] - early[1] < 2048, ('engine: %d, then %d KiB'):format(early[1], late[1]))
    assert.is_true(late[2] - early[2] < 4096, ('worker: %d, then %d KiB'):format(early[2], late[2]))
    assert.matches('read 800,000', run:stderr())
  end)

  it('a run leaves no process behind when the engine is killed', function()
    local pipe = folder .. '/in'
    assert(os.execute('mkfifo ' .. pipe))
    local run = process.start { program, 'run', 'scripts/clean_events.lua', '--input', pipe, '--set', 'processes=2' }
    local feed = assert(io.open(pipe, 'w')) -- open, so that the input does not end
    local pids
    wait.until_true(function()
      pids = process.descendants(run:pid())
      return #pids == 5
    end, 'the engine with its forker, zygote and two workers')
    run:signal(9)
    run:wait()
    feed:close()
    wait.until_true(function() return #process.living(pids) == 0 end, 'all of them to be gone')
  end)
end)
